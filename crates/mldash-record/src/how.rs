//! How a topic was recorded: what must be known besides a row to make its message again. Stored with
//! each track's schema, beside the definition of the messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::blobs::BlobPlan;
use super::offered_qos::OfferedQos;
use crate::mapping::Settings;
use mldash_message::{Encoder, Layout, MessageType, StampSource};
use mldash_track::{Origin, RowSchema, one_line};
use parking_lot::Mutex;

/// How a topic was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HowRecorded {
    version: u32,
    /// The topic on the graph.
    pub(super) topic: String,
    stamp: StampNote,
    /// What was added to the time that became `_ts`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) offset_nanos: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    each: Option<String>,
    /// Why rows lack a part of their messages, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lacks: Option<String>,
    /// What the topic's publishers offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) qos: Vec<OfferedQos>,
}

/// Where a row's `_ts` came from, as far as it decides which columns there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StampNote {
    Header,
    Field(String),
    Aside,
    None,
}

const VERSION: u32 = 1;

/// What a topic's tracks declare of their rows. Clones share it: what its publishers offer may be
/// known only after the recorder has the topic, and is declared with the rows that follow.
#[derive(Clone, Debug)]
pub struct Declaration {
    how: HowRecorded,
    schema: Arc<Mutex<Arc<RowSchema>>>,
}

impl Declaration {
    /// `schema` with how the topic was recorded, and the definition of its messages.
    pub(super) fn new(how: HowRecorded, schema: RowSchema, message: &MessageType) -> Self {
        let schema = schema.origin(Origin::new(message.to_bundle(), how.notes()));
        Self { how, schema: Arc::new(Mutex::new(Arc::new(schema))) }
    }

    pub(super) fn schema(&self) -> Arc<RowSchema> {
        self.schema.lock().clone()
    }

    /// The schema, if it is another one than `known`.
    pub(super) fn newer_than(&self, known: &Arc<RowSchema>) -> Option<Arc<RowSchema>> {
        let schema = self.schema.lock();
        (!Arc::ptr_eq(&schema, known)).then(|| schema.clone())
    }

    /// Notes what the topic's publishers offer.
    pub fn note_offers(&self, offers: Vec<OfferedQos>) {
        let notes = HowRecorded { qos: offers, ..self.how.clone() }.notes();
        let mut schema = self.schema.lock();
        if let Some(origin) = schema.noted_origin().filter(|origin| *origin.notes() != notes) {
            let origin = origin.clone().with_notes(notes);
            *schema = Arc::new(RowSchema::clone(&schema).origin(origin));
        }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl HowRecorded {
    pub(super) fn new(
        topic: &str,
        message: &Arc<MessageType>,
        settings: &Settings,
        layout: &Layout,
        blobs: &BlobPlan,
    ) -> Self {
        let lacks = match Encoder::compile(message, layout) {
            Err(not_whole) => Some(one_line(&not_whole)),
            Ok(_) => blobs.lacks(message).map(str::to_owned),
        };
        Self {
            version: VERSION,
            topic: topic.to_owned(),
            stamp: match &layout.stamp {
                StampSource::Header => StampNote::Header,
                StampSource::Field(path) => StampNote::Field(path.to_string()),
                StampSource::Aside => StampNote::Aside,
                StampSource::None => StampNote::None,
            },
            offset_nanos: settings.stamp_offset.nanos(),
            each: layout.each.as_ref().map(ToString::to_string),
            lacks,
            qos: Vec::new(),
        }
    }

    /// The same, of one half of a service's events.
    pub(super) fn of_half(self) -> Self {
        let lacks = "a service's event became a row of its request or of its response, and what is \
                     in the row does not make the event again";
        Self { lacks: Some(lacks.to_owned()), ..self }
    }

    fn notes(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(notes)) => notes,
            _ => Map::new(),
        }
    }

    /// Reads what was noted; `None` if another program, or a later version, noted it.
    pub(super) fn read(origin: &Origin) -> Option<Self> {
        let notes = Value::Object(origin.notes().clone());
        Self::deserialize(notes).ok().filter(|how| how.version == VERSION)
    }

    /// Returns true if `other` was recorded in the same way, whoever published it.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { qos: Vec::new(), ..self.clone() } == Self { qos: Vec::new(), ..other.clone() }
    }

    /// Returns true if `stamp_ns` is about a stamp in messages, and not about when they were sent.
    pub(super) fn stamps_are_of_messages(&self) -> bool {
        self.stamp != StampNote::None
    }

    /// The layout that its rows were decoded with; `None` if it can't be read.
    pub(super) fn layout(&self) -> Option<Layout> {
        Some(Layout {
            stamp: match &self.stamp {
                StampNote::Header => StampSource::Header,
                StampNote::Field(path) => StampSource::Field(path.parse().ok()?),
                StampNote::Aside => StampSource::Aside,
                StampNote::None => StampSource::None,
            },
            each: match &self.each {
                Some(path) => Some(path.parse().ok()?),
                None => None,
            },
            ..Layout::default()
        })
    }
}
