//! The topics' schemas on the store, which all publishers extend: changed only under the condition that nobody else did.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::error::PublishError;
use super::layout::Layout;
use super::schema::{MAX_COLUMNS, Settled, TopicSchema};
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
            let width = schema.width();
            if schema != before && width > MAX_COLUMNS {
                let topic = topic.to_owned();
                return Err(PublishError::TooManyColumns { topic, columns: width });
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mldash_track::ColumnType;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::super::schema::{Holds, TopicColumn};
    use super::super::store::Updates;
    use super::*;

    /// Settles columns, of which each takes two.
    fn settle(store: &Store, columns: usize) -> Result<(TopicSchema, Settled), PublishError> {
        let pair = ["x", "y"].map(|name| (name.into(), ColumnType::Float));
        let column = |number: usize| TopicColumn {
            name: format!("c{number}"),
            own: format!("c{number}"),
            ty: ColumnType::list(ColumnType::Dict(pair.to_vec())),
            holds: Holds::Values,
        };
        Schemas::default().settle(store, "arm", |schema| {
            let there = schema.columns.len();
            schema.columns.extend((there..columns).map(column));
            Settled::default()
        })
    }

    #[test]
    fn a_topic_gets_no_more_columns_than_can_be_written() {
        let objects = Arc::new(InMemory::new());
        let store = Store::over(objects, Path::from("lake"), "s3://lake", Updates::Conditional);
        let store = store.unwrap();
        settle(&store, MAX_COLUMNS / 2).unwrap();
        let refused = settle(&store, MAX_COLUMNS / 2 + 1).unwrap_err();
        assert!(
            refused.to_string().starts_with("topic `arm` would have 2050 columns"),
            "{refused}"
        );
        let (there, _) = settle(&store, 0).unwrap();
        assert_eq!(there.width(), MAX_COLUMNS);
    }
}
