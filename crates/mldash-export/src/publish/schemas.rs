//! The topics' schemas on the store, which all publishers extend: changed only under the condition that nobody else did.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::error::PublishError;
use super::layout::Layout;
use super::schema::{Settled, TopicSchema};
use super::store::{Store, Version};
use super::stored_json;

/// How often others may be faster.
const TRIES: u32 = 100;

/// What is known of the schemas. Threads share it.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    schema: TopicSchema,
    version: Option<Version>,
}

impl Schemas {
    /// Lets `settle` add columns to a topic's schema, and returns it as it is on the store then.
    pub(super) fn settle(
        &self,
        store: &Store,
        topic: &str,
        mut settle: impl FnMut(&mut TopicSchema) -> Settled,
    ) -> Result<(TopicSchema, Settled), PublishError> {
        for _ in 0..TRIES {
            store.check_stop()?;
            let known = self.known.lock().get(topic).cloned();
            let Known { mut schema, version } = match known {
                Some(known) => known,
                None => read(store, topic)?,
            };
            let before = schema.clone();
            let settled = settle(&mut schema);
            let version = match schema == before && version.is_some() {
                true => version,
                false => {
                    let bytes = Bytes::from(stored_json::pretty(&schema));
                    let written = store.update(&Layout::schema(topic), &bytes, version.as_ref())?;
                    if written.is_none() {
                        self.known.lock().remove(topic);
                        continue;
                    }
                    written
                }
            };
            self.known.lock().insert(topic.to_owned(), Known { schema: schema.clone(), version });
            return Ok((schema, settled));
        }
        Err(PublishError::ContendedTopic { topic: topic.to_owned() })
    }
}

fn read(store: &Store, topic: &str) -> Result<Known, PublishError> {
    let name = Layout::schema(topic);
    let Some((bytes, version)) = store.read(&name)? else {
        return Ok(Known { schema: TopicSchema::new(topic), version: None });
    };
    let schema = stored_json::parse(&bytes, store.url(), &name)?;
    Ok(Known { schema, version: Some(version) })
}
