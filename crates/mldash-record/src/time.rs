//! Finds a row's time: the message's own time, else the receive time, corrected by the mapping's
//! offset. Also fills the columns for times.

use crate::mapping::{Settings, Stamp, StampOffset, TimeColumn};
use mldash_message::{Decoder, Element};
use mldash_track::{Column, ColumnType, Timestamp, Value};

/// When a message was received, by the clock used for rows without a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nanoseconds since the epoch.
    At(i64),
    /// The ROS clock does not run yet. Messages that need the time wait for it.
    BeforeClock,
    /// The given time does not fit in 64-bit nanoseconds, as can happen in a bag.
    Unknown,
}

/// When a message was received and when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// See [`Received`].
    pub received: Received,
    /// When its publisher sent it, in nanoseconds of the publisher's clock; `None` if unknown.
    pub sent_nanos: Option<i64>,
}

impl From<Received> for Receipt {
    fn from(received: Received) -> Self {
        Self { received, sent_nanos: None }
    }
}

/// What a topic's entry of the mapping says about time.
#[derive(Debug)]
pub(super) struct TimeRule {
    offset: StampOffset,
    by_receive_time: bool,
    by_send_time: bool,
    /// Whether messages have a stamp, used as their time or not.
    has_stamp: bool,
    columns: Vec<(Column, TimeColumn)>,
}

/// A row's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowTime {
    pub(super) ts: Timestamp,
    /// The message's stamp as it came; the receive time of a message without one.
    stamp_nanos: Option<i64>,
    received: Received,
    /// Whether the receive time is used because there is no usable stamp.
    pub(super) is_fallback: bool,
}

impl Received {
    /// Nanoseconds since the epoch, if known.
    pub(super) fn nanos(self) -> Option<i64> {
        match self {
            Self::At(nanos) => Some(nanos),
            Self::BeforeClock | Self::Unknown => None,
        }
    }
}

impl TimeRule {
    pub(super) fn new(settings: &Settings, decoder: &Decoder) -> Self {
        let columns = settings.time_columns.wanted();
        Self {
            offset: settings.stamp_offset,
            by_receive_time: settings.stamp == Stamp::Receive,
            by_send_time: settings.stamp == Stamp::Source,
            has_stamp: decoder.notes_stamp() || settings.stamp == Stamp::Source,
            columns: columns.map(|column| (column.name().into(), column)).collect(),
        }
    }

    /// Returns true if an element's time is when its message was sent.
    pub(super) fn is_by_send_time(&self) -> bool {
        self.by_send_time
    }

    /// The time of an element; `None` if that would be the receive time and there is none.
    pub(super) fn row_time(&self, element: &Element, received: Received) -> Option<RowTime> {
        let stamp_nanos = if self.has_stamp { element.stamp_nanos } else { received.nanos() };
        if let Some(ts) = self.own_time(element) {
            return Some(RowTime { ts, stamp_nanos, received, is_fallback: false });
        }
        // The offset belongs to the clock that the mapping names: a device's, or this machine's.
        let offset = if self.by_receive_time { self.offset.nanos() } else { 0 };
        let ts = Timestamp::from_nanos(received.nanos()?.saturating_add(offset));
        Some(RowTime { ts, stamp_nanos, received, is_fallback: !self.by_receive_time })
    }

    /// The element's own time, corrected by the offset.
    pub(super) fn own_time(&self, element: &Element) -> Option<Timestamp> {
        let stamp = element.stamp?;
        match (self.offset.nanos(), element.stamp_nanos) {
            (0, _) => Some(stamp),
            (offset, Some(nanos)) => Some(Timestamp::from_nanos(nanos.saturating_add(offset))),
            (offset, None) => Timestamp::new(stamp.as_secs() + offset as f64 / 1e9).ok(),
        }
    }

    /// The names of the columns for times.
    pub(super) fn column_names(&self) -> Vec<Column> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The types of the columns for times.
    pub(super) fn column_types(&self) -> impl Iterator<Item = (Column, ColumnType)> {
        self.columns.iter().map(|(name, column)| {
            let ty = match column {
                TimeColumn::ReceiveTs => ColumnType::Float,
                TimeColumn::StampNs => ColumnType::Int,
            };
            (name.clone(), ty)
        })
    }

    /// The values of the columns for times.
    pub(super) fn columns(&self, time: &RowTime) -> impl Iterator<Item = (Column, Value)> {
        self.columns.iter().filter_map(|(name, column)| {
            let value = match column {
                TimeColumn::ReceiveTs => {
                    Value::F64(Timestamp::from_nanos(time.received.nanos()?).as_secs())
                }
                TimeColumn::StampNs => Value::Int(time.stamp_nanos?),
            };
            Some((name.clone(), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::TimeColumns;
    use mldash_message::MessageType;

    const STAMP: i64 = 1_700_000_000_123_456_789;
    const RECEIVED: i64 = 1_700_000_001_000_000_001;
    const AT: Received = Received::At(RECEIVED);

    /// Of a type with a header, or without.
    fn rule(stamp: Stamp, has_header: bool) -> (TimeRule, Decoder) {
        let header = "std_msgs/Header header\n===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\n\
                      string frame_id\n===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";
        let definition = if has_header { header } else { "int32 x" };
        let message = MessageType::from_bundle(&"a/msg/B".parse().unwrap(), definition).unwrap();
        let time_columns = TimeColumns { receive_ts: true, stamp_ns: true };
        let stamp_offset = StampOffset::from_secs(-0.035).unwrap();
        let settings = Settings { stamp, stamp_offset, time_columns, ..Settings::default() };
        let decoder = Decoder::compile(&message, &settings.layout()).unwrap();
        (TimeRule::new(&settings, &decoder), decoder)
    }

    /// The time of a message that was stamped so, and the columns.
    fn time(
        stamp: Stamp,
        stamped: Option<(i32, u32)>,
        at: Received,
    ) -> Option<(RowTime, Vec<Value>)> {
        let (rule, decoder) = rule(stamp, stamped.is_some());
        let mut cdr = vec![0, 1, 0, 0];
        match stamped {
            Some((sec, nanosec)) => {
                cdr.extend(sec.to_le_bytes());
                cdr.extend(nanosec.to_le_bytes());
                cdr.extend([1, 0, 0, 0, 0]);
            }
            None => cdr.extend([5, 0, 0, 0]),
        }
        let mut elements = Vec::new();
        decoder.decode(&cdr, &mut elements).unwrap();
        let time = rule.row_time(&elements[0], at)?;
        let columns = rule.columns(&time).map(|(_, value)| value).collect();
        Some((time, columns))
    }

    fn stamp_of(nanos: i64) -> Option<(i32, u32)> {
        let (sec, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
        Some((sec.try_into().unwrap(), rest.try_into().unwrap()))
    }

    #[test]
    fn the_offset_moves_the_row_and_the_columns_keep_what_was_sent() {
        let (time, columns) = time(Stamp::Header, stamp_of(STAMP), AT).unwrap();
        assert_eq!(time.ts, Timestamp::from_nanos(STAMP - 35_000_000));
        let received = Timestamp::from_nanos(RECEIVED).as_secs();
        assert_eq!(columns, [Value::F64(received), Value::Int(STAMP)]);
    }

    #[test]
    fn a_devices_offset_is_none_of_the_receive_time_that_steps_in() {
        let (fallback, _) = time(Stamp::Header, None, AT).unwrap();
        assert_eq!(fallback.ts, Timestamp::from_nanos(RECEIVED));
        assert!(fallback.is_fallback);
        let (meant, _) = time(Stamp::Receive, None, AT).unwrap();
        assert_eq!(meant.ts, Timestamp::from_nanos(RECEIVED - 35_000_000));
        assert!(!meant.is_fallback);
    }

    #[test]
    fn the_stamp_is_kept_as_it_came_where_the_receive_time_is_the_rows() {
        for (stamp, stamped, kept) in [
            (Stamp::Receive, stamp_of(STAMP), STAMP),
            (Stamp::Header, Some((0, 0)), 0),
            (Stamp::Receive, Some((0, 0)), 0),
            (Stamp::Header, Some((-5, 7)), -4_999_999_993),
            (Stamp::Header, Some((5, 1_500_000_000)), 6_500_000_000),
            // There is none: what the row's time is made of.
            (Stamp::Header, None, RECEIVED),
            (Stamp::Receive, None, RECEIVED),
        ] {
            let (time, columns) = time(stamp.clone(), stamped, AT).unwrap();
            assert!(
                (time.ts.as_secs() - RECEIVED as f64 / 1e9).abs() < 0.036,
                "{stamp:?} {stamped:?}"
            );
            assert_eq!(columns[1], Value::Int(kept), "{stamp:?} {stamped:?}");
        }
    }

    #[test]
    fn without_a_time_of_receipt_only_stamps_give_a_time() {
        for nothing in [Received::BeforeClock, Received::Unknown] {
            assert_eq!(time(Stamp::Header, None, nothing), None);
            assert_eq!(time(Stamp::Receive, stamp_of(STAMP), nothing), None);
            let (_, columns) = time(Stamp::Header, stamp_of(STAMP), nothing).unwrap();
            assert_eq!(columns, [Value::Int(STAMP)]);
        }
        assert_eq!(time(Stamp::Receive, None, Received::At(0)).unwrap().0.ts.as_secs(), -0.035);
    }
}
