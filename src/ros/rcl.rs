//! A small safe layer over `rcl`, the C library below all ROS 2 client libraries. Each handle has a thin
//! type that finalizes it on drop. Every return code becomes an [`RclError`] in one place.
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
//! Every handle keeps the handles that it needs alive, so they may be dropped in any order. No other
//! module of this package has `unsafe`.

mod context;
mod error;
mod graph;
mod guard;
mod logging;
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
pub use logging::log_here;
pub use node::Node;
pub use publisher::Publisher;
pub use qos::{Durability, QosProfile, Reliability};
pub use subscription::{Gid, MessageInfo, Subscription, TakenMessage};
pub use type_support::{TypeSupport, TypeSupportError};
pub use wait::{Ready, WaitSet};
