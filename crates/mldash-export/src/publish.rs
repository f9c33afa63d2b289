//! Recordings on an object store.

pub mod compact;
pub mod layout;
mod error;
mod manifest;
mod schema;
mod store;

pub use error::PublishError;
pub use manifest::{FORMAT, Manifest, PublishedFile};
pub use schema::{Holds, Settled, TopicColumn, TopicSchema};
pub use store::{Created, Listed, Retries, Store, StoreSettings, Updates, Version};
