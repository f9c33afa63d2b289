//! A small safe layer over `rcl`, the C library under all ROS 2 client libraries: one thin type for each
//! handle, ended by its `Drop`, every return code turned into an [`RclError`] in one place.
//!
//! ```text
//! Context ◀── Node ◀── Subscription, Publisher ◀── WaitSet waits for them
//!    ▲                       ▲                        ▲
//!    └── GuardCondition      └── TypeSupport
//! ```
//!
//! It subscribes and publishes serialized messages (CDR) of any type that is installed when the program
//! runs. It knows nothing of mappings, messages or rows. r2r has a context of its own beside this one; rcl
//! allows several in one process.
//!
//! Every handle keeps what it stands on alive, so they may be dropped in any order. There is no other
//! `unsafe` in this package.

mod context;
mod error;
mod graph;
mod guard;
mod node;
mod publisher;
mod qos;
mod subscription;
mod type_support;
mod wait;

pub use context::{Context, middleware};
pub use error::RclError;
pub use graph::{PublisherInfo, TopicTypes};
pub use guard::GuardCondition;
pub use node::Node;
pub use publisher::Publisher;
pub use qos::{Durability, QosProfile, Reliability};
pub use subscription::{Gid, MessageInfo, Subscription, TakenMessage};
pub use type_support::{TypeSupport, TypeSupportError};
pub use wait::{Ready, WaitSet};
