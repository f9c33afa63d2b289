//! Flags that record services and actions besides what the mapping asks for.

use clap::Args;
use mldash_bridge::mapping::{CallKind, Mapping};

use super::Failure;

#[derive(Clone, Debug, Default, Args)]
pub(super) struct CallArgs {
    /// Also record the requests and responses of these services: names or globs. Their introspection must
    /// be on.
    #[arg(long, value_name = "SERVICE", num_args = 1..)]
    services: Vec<String>,
    /// The same of all services.
    #[arg(long, conflicts_with = "services")]
    all_services: bool,
    /// Also record feedback and status of these actions, and goals and results where introspection is on:
    /// names or globs.
    #[arg(long, value_name = "ACTION", num_args = 1..)]
    actions: Vec<String>,
    /// The same of all actions.
    #[arg(long, conflicts_with = "actions")]
    all_actions: bool,
}

impl CallArgs {
    /// The mapping with what the flags ask for.
    pub(super) fn added_to(&self, mapping: Mapping) -> Result<Mapping, Failure> {
        let mut mapping = mapping;
        for (kind, flag, names, is_all) in [
            (CallKind::Service, "--services", &self.services, self.all_services),
            (CallKind::Action, "--actions", &self.actions, self.all_actions),
        ] {
            let all = ["all".to_owned()];
            let names = if is_all { &all[..] } else { names };
            let added = mapping.record_calls(kind, names);
            mapping = added.map_err(|error| Failure::Usage(format!("{flag}: {error}").into()))?;
        }
        Ok(mapping)
    }
}
