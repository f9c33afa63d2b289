//! How rows came about: the definition of what their source sent, and what the recorder made of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How rows came about, as the recorder notes it with a [`RowSchema`](super::RowSchema). With this
/// and a row, a recorder can make again what the row's source sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    definition: Definition,
    notes: Map<String, Value>,
}

/// A text, which the store keeps once for all tracks that name it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Definition {
    /// See [`definition_id`].
    id: String,
    /// `None` if it was not declared here: the store has it.
    #[serde(skip)]
    text: Option<Arc<str>>,
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Definition {}

impl Origin {
    /// Rows of messages that this text defines, and whatever the recorder wants to know again.
    pub fn new(definition: impl Into<Arc<str>>, notes: Map<String, Value>) -> Self {
        let text = definition.into();
        let definition = Definition { id: definition_id(&text), text: Some(text) };
        Self { definition, notes }
    }

    /// The same definition with other notes.
    pub fn with_notes(self, notes: Map<String, Value>) -> Self {
        Self { notes, ..self }
    }

    /// What the recorder noted.
    pub fn notes(&self) -> &Map<String, Value> {
        &self.notes
    }

    /// Identifies the text of the definition: equal for equal texts.
    pub fn definition_id(&self) -> &str {
        &self.definition.id
    }

    /// The text of the definition, if it was declared by this process.
    pub(crate) fn declared_text(&self) -> Option<&str> {
        self.definition.text.as_deref()
    }
}

/// Identifies a text: its SHA-256, in hexadecimal.
pub(crate) fn definition_id(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
