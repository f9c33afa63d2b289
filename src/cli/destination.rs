//! Where a recording goes, from what was given and what the mapping says: of `run` and `import`.

use std::path::PathBuf;

use mldash_bridge::mapping::Mapping;
use mldash_bridge::ros::host_name;
use mldash_bridge::track::{Experiment, Metadata, Options};

use super::Failure;

const DEFAULT_ROOT: &str = ".dash";

/// What goes before the mapping's word.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) experiment: Option<String>,
    pub(super) root: Option<PathBuf>,
    pub(super) remote: Option<String>,
}

/// An experiment to be opened for recording.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) experiment: String,
    pub(super) root: PathBuf,
    pub(super) remote: Option<String>,
    options: Options,
}

impl Destination {
    pub(super) fn settle(mapping: &Mapping, given: Given) -> Result<Self, Failure> {
        let experiment = match (given.experiment, mapping.experiment()) {
            (Some(name), _) => name,
            (None, Some(template)) => {
                let now = jiff::ZonedDateTime::now().datetime();
                let env = |name: &str| std::env::var(name).ok();
                let name = template.expand(now, &host_name(), env);
                name.map_err(|error| Failure::Usage(error.into()))?.to_string()
            }
            (None, None) => {
                let reason = "no experiment: name it with `--experiment OWNER/PROJECT/NAME`, with \
                              the ROS parameter `experiment` of `run`, or with `experiment:` in \
                              the mapping";
                return Err(Failure::Usage(reason.into()));
            }
        };
        let root = given.root.or_else(|| mapping.root().map(PathBuf::from));
        let root = root.unwrap_or_else(|| DEFAULT_ROOT.into());
        if given.remote.is_some() || mapping.remote().is_some() {
            tracing::warn!(
                "this version does not upload: the recording stays under {}",
                root.display()
            );
        }
        let options = options(root.clone(), mapping);
        let remote = given.remote.or_else(|| mapping.remote().map(|remote| remote.url.clone()));
        Ok(Self { experiment, root, remote, options })
    }

    /// Opens it for a run of these details.
    pub(super) fn open(self, details: Metadata) -> Result<Experiment, Failure> {
        let exp = Experiment::open(&self.experiment, self.options)?;
        exp.start_run(details)?;
        tracing::info!("recording experiment {} into {}", exp.name(), exp.folder().display());
        Ok(exp)
    }
}

/// What the mapping says about flushes; what it leaves open comes from the environment.
fn options(root: PathBuf, mapping: &Mapping) -> Options {
    let flush = mapping.flush();
    let mut options = Options::local(root);
    if let Some(interval) = flush.interval {
        options = options.flush_interval(interval);
    }
    if let Some(rows) = flush.batch {
        options = options.batch_rows(rows);
    }
    if let Some(interval) = flush.fsync {
        options = options.sync_interval(interval);
    }
    options
}
