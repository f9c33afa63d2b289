//! The part of recording that need not wait for a message's turn: its bytes into what is wanted of them.

use super::identity;
use super::plan::TopicPlan;
use mldash_message::{DecodeError, Element};

/// A message that is decoded and not yet recorded.
#[derive(Debug)]
pub struct Decoded {
    pub(super) cdr: Vec<u8>,
    /// None when there is an error.
    pub(super) elements: Vec<Element>,
    pub(super) error: Option<DecodeError>,
    /// Of its bytes, unless its elements are recorded, each by itself.
    pub(super) hash: u64,
}

impl Decoded {
    /// Decodes a message, CDR with its encapsulation header, by the plan of its topic. Bytes that are not
    /// such a message are counted when it is recorded.
    pub fn new(plan: &TopicPlan, cdr: Vec<u8>) -> Self {
        Self::in_space(plan, cdr, Vec::new())
    }

    /// As [`new`](Self::new), in the memory of another message's elements.
    pub(super) fn in_space(plan: &TopicPlan, cdr: Vec<u8>, mut elements: Vec<Element>) -> Self {
        let error = plan.decode(&cdr, &mut elements).err();
        let hash = if plan.is_each { 0 } else { identity::of_message(&cdr) };
        Self { cdr, elements, error, hash }
    }
}
