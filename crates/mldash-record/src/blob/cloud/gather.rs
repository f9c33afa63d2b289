//! Copies points without gaps between their fields and after their rows, in little-endian order.

use std::ops::Range;

use super::Cloud;

impl Cloud {
    /// Appends all points of `data`, whose size was checked.
    pub(super) fn gather(&self, data: &[u8], out: &mut Vec<u8>) {
        let record_bytes = self.record_bytes();
        out.reserve(record_bytes * self.points());
        let start = out.len();
        let runs = self.runs();
        let is_whole = runs.len() == 1 && self.record_bytes() == self.point_step;
        if self.points() > 0 {
            for row in data.chunks(self.row_step.max(1)).take(self.height) {
                let row = row.get(..self.width * self.point_step).unwrap_or_default();
                if is_whole {
                    out.extend_from_slice(row);
                } else {
                    for point in row.chunks_exact(self.point_step) {
                        for run in &runs {
                            out.extend_from_slice(point.get(run.clone()).unwrap_or_default());
                        }
                    }
                }
            }
        }
        if self.is_bigendian {
            for record in out.get_mut(start..).unwrap_or_default().chunks_exact_mut(record_bytes) {
                self.turn(record);
            }
        }
    }

    /// The bytes of a point that are copied. Consecutive fields are one run.
    fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for field in &self.fields {
            let end = field.offset + field.size_bytes();
            match runs.last_mut() {
                Some(last) if last.end == field.offset => last.end = end,
                _ => runs.push(field.offset..end),
            }
        }
        runs
    }

    /// Reverses the bytes of a point's numbers.
    fn turn(&self, mut record: &mut [u8]) {
        for field in &self.fields {
            let Some((numbers, rest)) = record.split_at_mut_checked(field.size_bytes()) else {
                return;
            };
            numbers.chunks_exact_mut(field.number.size_bytes()).for_each(<[u8]>::reverse);
            record = rest;
        }
    }
}
