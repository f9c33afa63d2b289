//! Puts points without gaps back where they were in their message.

use super::Cloud;

impl Cloud {
    /// The bytes of the message from those that [`gather`](Cloud::gather) made of them. What is
    /// between a point's fields, and after its row, becomes zeros. `None` if the points are not as
    /// many.
    pub(in crate::blob) fn scatter(&self, records: &[u8]) -> Option<Vec<u8>> {
        let record_bytes = self.record_bytes();
        if records.len() != record_bytes.checked_mul(self.points())? {
            return None;
        }
        let mut data = vec![0; self.bytes];
        if self.points() == 0 {
            return Some(data);
        }
        let mut records = records.chunks_exact(record_bytes);
        for row in data.chunks_mut(self.row_step.max(1)).take(self.height) {
            for point in
                row.get_mut(..self.width * self.point_step)?.chunks_exact_mut(self.point_step)
            {
                self.put(records.next()?, point)?;
            }
        }
        Some(data)
    }

    fn put(&self, mut record: &[u8], point: &mut [u8]) -> Option<()> {
        for field in &self.fields {
            let (numbers, rest) = record.split_at_checked(field.size_bytes())?;
            let place = point.get_mut(field.offset..field.offset + field.size_bytes())?;
            place.copy_from_slice(numbers);
            if self.is_bigendian {
                place.chunks_exact_mut(field.number.size_bytes()).for_each(<[u8]>::reverse);
            }
            record = rest;
        }
        Some(())
    }
}
