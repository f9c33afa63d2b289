//! A message as it is handed to the recorder: its bytes, or decoded already. Decoding need not wait
//! for a message's turn, so an import does it on other threads.

use super::identity;
use super::plan::TopicPlan;
use mldash_message::{DecodeError, Element};

/// A message to be recorded.
#[derive(Debug)]
pub enum Payload {
    /// CDR with its encapsulation header.
    Cdr(Vec<u8>),
    /// Decoded by the topic's plan.
    Decoded(Decoded),
}

/// A message that is decoded and not yet recorded.
#[derive(Debug)]
pub struct Decoded {
    pub(super) cdr: Vec<u8>,
    /// Empty if there is an error.
    pub(super) elements: Vec<Element>,
    pub(super) error: Option<DecodeError>,
    /// The hash of its bytes; 0 under `each`, where every element has its own.
    pub(super) hash: u64,
}

impl From<Vec<u8>> for Payload {
    fn from(cdr: Vec<u8>) -> Self {
        Self::Cdr(cdr)
    }
}

impl From<Decoded> for Payload {
    fn from(decoded: Decoded) -> Self {
        Self::Decoded(decoded)
    }
}

impl Payload {
    /// The message's CDR.
    pub(super) fn cdr(&self) -> &[u8] {
        match self {
            Self::Cdr(cdr) => cdr,
            Self::Decoded(decoded) => &decoded.cdr,
        }
    }

    /// The message's CDR alone.
    pub(super) fn into_cdr(self) -> Vec<u8> {
        match self {
            Self::Cdr(cdr) => cdr,
            Self::Decoded(decoded) => decoded.cdr,
        }
    }

    /// The decoded message. `space` is reused memory for its elements.
    pub(super) fn decode(self, plan: &TopicPlan, space: Vec<Element>) -> Decoded {
        match self {
            Self::Cdr(cdr) => Decoded::in_space(plan, cdr, space),
            Self::Decoded(decoded) => decoded,
        }
    }
}

impl Decoded {
    /// Decodes a message by the plan of its topic: CDR with its encapsulation header. If the bytes are
    /// not such a message, recording it counts it as undecodable.
    pub fn new(plan: &TopicPlan, cdr: Vec<u8>) -> Self {
        Self::in_space(plan, cdr, Vec::new())
    }

    fn in_space(plan: &TopicPlan, cdr: Vec<u8>, mut elements: Vec<Element>) -> Self {
        let error = plan.decode(&cdr, &mut elements).err();
        let hash = if plan.is_each { 0 } else { identity::of_message(&cdr) };
        Self { cdr, elements, error, hash }
    }
}
