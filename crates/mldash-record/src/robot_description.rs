//! A robot's description (URDF), stored with the experiment, so that a recording says what robot it
//! is of.

use mldash_message::Element;
use mldash_track::{Experiment, Value, one_line};

/// A longer text is only in its track.
const MAX_BYTES: usize = 4 << 20;

/// The text that was last noted.
#[derive(Debug, Default)]
pub(super) struct RobotDescription(Option<Box<str>>);

impl RobotDescription {
    /// Notes the text in the experiment's metadata, under the topic's name.
    pub(super) fn note(&mut self, exp: &Experiment, topic: &str, element: &Element) {
        let mut texts = element.fields.iter().filter(|(name, _)| ***name == *"data");
        let Some((_, Value::Text(text))) = texts.next() else { return };
        if text.len() > MAX_BYTES || self.0.as_deref() == Some(text.as_str()) {
            return;
        }
        if let Err(error) = exp.set_metadata(topic.trim_start_matches('/'), text.as_str()) {
            tracing::warn!("{topic}: can't store it in the metadata: {}", one_line(&error));
        }
        self.0 = Some(text.as_str().into());
    }
}
