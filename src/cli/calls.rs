//! Options that record services and actions: besides what a mapping asks for, or without one.

use clap::Args;
use mldash_bridge::mapping::{CallSelection, TopicPattern};

#[derive(Clone, Debug, Args)]
pub(super) struct CallArgs {
    /// Record the requests and responses of these services, also besides a mapping: names or globs. Their
    /// introspection must be on.
    #[arg(long, value_name = "SERVICE", num_args = 1.., value_parser = CallSelection::pattern)]
    services: Vec<TopicPattern>,
    /// The same of all services.
    #[arg(long, conflicts_with = "services")]
    all_services: bool,
    /// Record feedback and status of these actions, and goals and results where introspection is on; likewise.
    #[arg(long, value_name = "ACTION", num_args = 1.., value_parser = CallSelection::pattern)]
    actions: Vec<TopicPattern>,
    /// The same of all actions.
    #[arg(long, conflicts_with = "actions")]
    all_actions: bool,
}

impl CallArgs {
    /// What these options ask for.
    pub(super) fn selection(&self) -> CallSelection {
        let chosen = |is_all: bool, named: &[TopicPattern]| match is_all {
            true => CallSelection::all(),
            false => named.to_vec(),
        };
        CallSelection {
            services: chosen(self.all_services, &self.services),
            actions: chosen(self.all_actions, &self.actions),
        }
    }
}
