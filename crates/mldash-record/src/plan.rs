//! How a topic is recorded: its decoder and its entry of the mapping, combined once.

use std::sync::Arc;

use super::blobs::BlobPlan;
use super::how::{Declaration, HowRecorded};
use super::schema::row_schema;
use super::time::TimeRule;
use crate::mapping::{Captures, Half, Hz, RuleMatch, SameStamp, Settings, TrackPattern};
use mldash_message::{DecodeError, Decoder, Element, LayoutFault, MessageType};
use mldash_track::{Column, RowSchema};

/// Everything needed to record a topic.
#[derive(Debug)]
pub struct TopicPlan {
    /// The topic on the graph, fully resolved.
    pub(super) topic: String,
    /// The mapping's name for it: the name before remapping.
    pub(super) mapped_topic: String,
    pub(super) type_name: String,
    pub(super) decoder: Decoder,
    declaration: Declaration,
    pub(super) track: TrackPattern,
    pub(super) captures: Captures,
    pub(super) max_rate: Option<Hz>,
    pub(super) on_change: bool,
    pub(super) same_stamp: SameStamp,
    /// Whether elements of messages are recorded instead of messages.
    pub(super) is_each: bool,
    pub(super) times: TimeRule,
    pub(super) blobs: BlobPlan,
    /// The plan of messages that are responses, if the topic's messages are events of a service.
    pub(super) response: Option<Arc<TopicPlan>>,
}

/// Why a topic can't be recorded as the mapping says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The mapping names another type.
    #[error("{0}")]
    TypeConflict(String),
    /// The mapping and the type don't fit.
    #[error("the mapping does not fit {type_name}: {}", join(faults))]
    Layout {
        /// The topic's type.
        type_name: String,
        /// Everything that is wrong.
        faults: Vec<LayoutFault>,
    },
    /// A column for a time has the name of one of the message's columns.
    #[error(
        "messages already have a field for the column `{0}`; remove `{0}: true`, or give the field \
         another column with `fields:`"
    )]
    TakenColumn(&'static str),
}

fn join(faults: &[LayoutFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The names of the fields of an event's request or response.
fn fields_of(event: &MessageType, half: Half) -> Vec<&str> {
    let name = match half {
        Half::Request => "request",
        Half::Response => "response",
    };
    let field = event.fields().iter().find(|field| &*field.name == name);
    let message = field.and_then(|field| field.ty.message());
    message.into_iter().flat_map(|m| m.fields()).map(|field| &*field.name).collect()
}

impl TopicPlan {
    /// Compiles the decoder of a topic for its entry of the mapping.
    ///
    /// `topic` is the name on the graph, `mapped_topic` the mapping's name for it. They differ
    /// under remapping; tracks are named after the second.
    ///
    /// # Errors
    ///
    /// Fails if the mapping names another type, or paths that the type lacks.
    pub fn new(
        topic: &str,
        mapped_topic: &str,
        message_type: &Arc<MessageType>,
        rule: &RuleMatch<'_>,
    ) -> Result<Self, PlanError> {
        if let Some(conflict) = &rule.type_conflict {
            return Err(PlanError::TypeConflict(conflict.to_string()));
        }
        let is_halved = rule.call.as_ref().is_some_and(|call| call.halves().is_some());
        let plan = |settings: &Settings| {
            let topics = (topic, mapped_topic);
            Self::with_settings(topics, message_type, settings, &rule.captures, is_halved)
        };
        let Some(call) = &rule.call else { return plan(&rule.settings) };
        let half = |half: Half| {
            plan(&call.settings(rule.settings.clone(), half, &fields_of(message_type, half)))
        };
        let mut request = half(Half::Request)?;
        if is_halved {
            request.response = Some(half(Half::Response)?.into());
        }
        Ok(request)
    }

    fn with_settings(
        (topic, mapped_topic): (&str, &str),
        message_type: &Arc<MessageType>,
        settings: &Settings,
        captures: &Captures,
        is_half: bool,
    ) -> Result<Self, PlanError> {
        let type_name = message_type.name().to_string();
        let blobs = BlobPlan::new(settings.blobs, message_type, settings.each.is_some());
        let mut layout = settings.layout();
        layout.byte_arrays = blobs.byte_arrays();
        let decoder = Decoder::compile(message_type, &layout)
            .map_err(|faults| PlanError::Layout { type_name: type_name.clone(), faults })?;
        if let Some(column) = settings.taken_time_column(&decoder) {
            return Err(PlanError::TakenColumn(column.name()));
        }
        let times = TimeRule::new(settings, &decoder);
        let how = HowRecorded::new(topic, message_type, settings, &layout, &blobs);
        let how = if is_half { how.of_half() } else { how };
        let schema = row_schema(mapped_topic, &decoder, &times, &blobs);
        let declaration = Declaration::new(how, schema, message_type);
        Ok(Self {
            topic: topic.to_owned(),
            mapped_topic: mapped_topic.to_owned(),
            type_name,
            decoder,
            declaration,
            track: settings.track.clone(),
            captures: captures.clone(),
            max_rate: settings.max_rate,
            on_change: settings.on_change,
            same_stamp: settings.same_stamp,
            is_each: settings.each.is_some(),
            times,
            blobs,
            response: None,
        })
    }

    /// Returns true if its messages are the description of a robot (URDF), by ROS's name for that
    /// topic.
    pub(super) fn is_robot_description(&self) -> bool {
        self.type_name == "std_msgs/msg/String" && self.topic.ends_with("/robot_description")
    }

    /// The columns of its rows, except those that describe files.
    pub(super) fn column_names(&self) -> Vec<Column> {
        self.decoder.columns().iter().cloned().chain(self.times.column_names()).collect()
    }

    /// Decodes what becomes rows. Messages that are dropped as a whole give nothing.
    pub(super) fn decode(&self, cdr: &[u8], out: &mut Vec<Element>) -> Result<(), DecodeError> {
        if let Some(response) = self.response_plan(cdr) {
            return response.decode(cdr, out);
        }
        if self.blobs.drops_messages() {
            return Ok(());
        }
        self.decoder.decode(cdr, out)
    }

    /// The plan of this message's own, if it is the event of a response.
    pub(super) fn response_plan(&self, cdr: &[u8]) -> Option<&Arc<Self>> {
        /// `service_msgs/ServiceEventInfo`: of a request, it is sent or received; likewise of a response.
        const RESPONSES: [u8; 2] = [2, 3];
        // The first byte behind the encapsulation header is the first field of the first field.
        self.response.as_ref().filter(|_| cdr.get(4).is_some_and(|ty| RESPONSES.contains(ty)))
    }

    /// What its tracks declare of their rows, to note what its publishers offer.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// What its rows can hold.
    pub(super) fn schema(&self) -> Arc<RowSchema> {
        self.declaration.schema()
    }

    /// The same, in a track named after its type: `chatter.std_msgs.Int32` instead of `chatter`.
    pub(crate) fn in_a_track_of_its_type(mut self) -> Self {
        let mut words = self.type_name.split('/');
        let (package, name) =
            (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
        let suffix = format!(".{package}.{name}");
        self.track = self.track.clone().with_suffix(&suffix);
        // Nobody else has it yet.
        if let Some(response) = self.response.as_mut().and_then(Arc::get_mut) {
            response.track = response.track.clone().with_suffix(&suffix);
        }
        self
    }

    /// The mapping's name for the topic.
    pub fn mapped_topic(&self) -> &str {
        &self.mapped_topic
    }

    /// The topic on the graph.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}
