//! When a row is: the message's own time, else the receive time; corrected by the mapping's offset, and
//! kept in columns of its own where that is asked for.

use crate::mapping::{Settings, Stamp, StampOffset, TimeColumn};
use crate::message::Element;
use crate::track::{Column, Timestamp, Value};

/// What a topic's entry of the mapping says of time.
#[derive(Debug)]
pub(super) struct TimeRule {
    offset: StampOffset,
    by_receive_time: bool,
    columns: Vec<(Column, TimeColumn)>,
}

/// When a row is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowTime {
    pub(super) ts: Timestamp,
    /// What `ts` is made from, before the offset; `None` beyond what nanoseconds can count.
    source_nanos: Option<i64>,
    /// `None` before the ROS clock runs.
    received_nanos: Option<i64>,
    /// Whether it is the receive time for want of a usable stamp.
    pub(super) is_fallback: bool,
}

impl TimeRule {
    pub(super) fn new(settings: &Settings) -> Self {
        let columns = settings.time_columns.wanted();
        Self {
            offset: settings.stamp_offset,
            by_receive_time: settings.stamp == Stamp::Receive,
            columns: columns.map(|column| (column.name().into(), column)).collect(),
        }
    }

    /// The time of an element that was received at `received_nanos`; `None` when it would be that of a
    /// clock that does not run yet.
    pub(super) fn row_time(
        &self,
        element: &Element,
        received_nanos: Option<i64>,
    ) -> Option<RowTime> {
        if let Some(ts) = self.own_time(element) {
            let source_nanos = element.stamp_nanos;
            return Some(RowTime { ts, source_nanos, received_nanos, is_fallback: false });
        }
        let nanos = received_nanos?;
        // The offset is that of the clock that the mapping names: of a device's, or of this one.
        let offset = if self.by_receive_time { self.offset.nanos() } else { 0 };
        Some(RowTime {
            ts: Timestamp::from_nanos(nanos.saturating_add(offset)),
            source_nanos: Some(nanos),
            received_nanos,
            is_fallback: !self.by_receive_time,
        })
    }

    /// The element's own time, corrected.
    pub(super) fn own_time(&self, element: &Element) -> Option<Timestamp> {
        let stamp = element.stamp?;
        match (self.offset.nanos(), element.stamp_nanos) {
            (0, _) => Some(stamp),
            (offset, Some(nanos)) => Some(Timestamp::from_nanos(nanos.saturating_add(offset))),
            (offset, None) => Timestamp::new(stamp.as_secs() + offset as f64 / 1e9).ok(),
        }
    }

    /// The columns that hold times, by name.
    pub(super) fn column_names(&self) -> Vec<Column> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The columns that hold times.
    pub(super) fn columns(&self, time: &RowTime) -> impl Iterator<Item = (Column, Value)> {
        self.columns.iter().filter_map(|(name, column)| {
            let value = match column {
                TimeColumn::ReceiveTs => {
                    Value::F64(Timestamp::from_nanos(time.received_nanos?).as_secs())
                }
                TimeColumn::StampNs => Value::Int(time.source_nanos?),
            };
            Some((name.clone(), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::TimeColumns;

    const STAMP: i64 = 1_700_000_000_123_456_789;
    const RECEIVED: i64 = 1_700_000_001_000_000_001;

    fn element(stamp_nanos: Option<i64>) -> Element {
        Element {
            stamp: stamp_nanos.map(Timestamp::from_nanos),
            stamp_nanos,
            fields: Default::default(),
            names: Vec::new(),
            left_out: Vec::new(),
            repaired_text: false,
        }
    }

    fn rule(stamp: Stamp) -> TimeRule {
        let time_columns = TimeColumns { receive_ts: true, stamp_ns: true };
        let stamp_offset = StampOffset::from_secs(-0.035).unwrap();
        TimeRule::new(&Settings { stamp, stamp_offset, time_columns, ..Settings::default() })
    }

    #[test]
    fn the_offset_moves_the_row_and_the_columns_keep_what_was_sent() {
        let rule = rule(Stamp::Header);
        let time = rule.row_time(&element(Some(STAMP)), Some(RECEIVED)).unwrap();
        assert_eq!(time.ts, Timestamp::from_nanos(STAMP - 35_000_000));
        let columns: Vec<Value> = rule.columns(&time).map(|(_, value)| value).collect();
        let received = Timestamp::from_nanos(RECEIVED).as_secs();
        assert_eq!(columns, [Value::F64(received), Value::Int(STAMP)]);
    }

    #[test]
    fn a_devices_offset_is_none_of_the_receive_time_that_steps_in() {
        let fallback = rule(Stamp::Header).row_time(&element(None), Some(RECEIVED)).unwrap();
        assert_eq!(fallback.ts, Timestamp::from_nanos(RECEIVED));
        assert!(fallback.is_fallback);
        let meant = rule(Stamp::Receive).row_time(&element(None), Some(RECEIVED)).unwrap();
        assert_eq!(meant.ts, Timestamp::from_nanos(RECEIVED - 35_000_000));
        assert!(!meant.is_fallback);
    }

    #[test]
    fn before_the_clock_runs_only_stamps_give_a_time() {
        let rule = rule(Stamp::Header);
        assert_eq!(rule.row_time(&element(None), None), None);
        let time = rule.row_time(&element(Some(STAMP)), None).unwrap();
        let names: Vec<String> = rule.columns(&time).map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["stamp_ns"]);
    }
}
