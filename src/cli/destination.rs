//! Where a recording of `run` or `import` goes, from the command line and the mapping.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mldash_bridge::mapping::Mapping;
use mldash_bridge::ros::host_name;
use mldash_bridge::track::{Experiment, LabelChange, Labels, Metadata, Options, Remote};

use super::Failure;
use super::args::{DEFAULT_ROOT, DestinationArgs, UploadArgs};

/// An experiment that is to be opened for recording.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) experiment: String,
    pub(super) root: PathBuf,
    pub(super) remote: Option<String>,
    /// What is said of every part.
    labels: LabelChange,
    /// Metadata of the mapping.
    metadata: Metadata,
    options: Options,
}

impl Destination {
    /// What `given` says overrides the mapping. Once `hurry` is set, nobody waits for a server.
    pub(super) fn choose(
        mapping: &Mapping,
        given: DestinationArgs,
        hurry: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let experiment = match (given.experiment, mapping.experiment()) {
            (Some(name), _) => name,
            (None, Some(template)) => {
                let now = jiff::ZonedDateTime::now().datetime();
                let env = |name: &str| std::env::var(name).ok();
                let name = template.expand(now, &host_name(), env);
                name.map_err(Failure::usage)?.to_string()
            }
            (None, None) => {
                let reason = "no experiment: name it with `--experiment OWNER/PROJECT/NAME`, with \
                              the ROS parameter `experiment` of `run`, or with `experiment:` in \
                              the mapping";
                return Err(Failure::usage(reason));
            }
        };
        let root = given.root.or_else(|| mapping.root().map(PathBuf::from));
        let root = root.unwrap_or_else(|| DEFAULT_ROOT.into());
        let compression = given.compress.unwrap_or_else(|| mapping.compression());
        let mut options = options(root.clone(), mapping).hurry(hurry).compress(compression);
        let remote = remote(given.upload, mapping);
        if let Some(remote) = &remote {
            options = options.remote(remote.clone());
        }
        let remote = remote.map(|remote| remote.url().to_owned());
        let labels = mapping.labels(|name: &str| std::env::var(name).ok());
        let (labels, metadata) = labels
            .map_err(|error| Failure::usage(format!("{}:{error}", mapping.path().display())))?;
        let labels = given.labels.change().or(labels);
        Ok(Self { experiment, root, remote, labels, metadata, options })
    }

    /// What is said of every part.
    pub(super) fn labels(&self) -> Labels {
        self.labels.labels_of(&Labels::default())
    }

    /// Limits the memory for rows that are not written yet.
    pub(super) fn buffer_bytes(self, bytes: usize) -> Self {
        Self { options: self.options.buffer_bytes(bytes), ..self }
    }

    /// Opens it for a run with these details.
    pub(super) fn open(self, details: Metadata) -> Result<Experiment, Failure> {
        let exp = Experiment::open(&self.experiment, self.options)?;
        let mut metadata = self.metadata;
        metadata.extend(details);
        exp.start_run(metadata)?;
        exp.label(&self.labels)?;
        tracing::info!("recording experiment {} into {}", exp.name(), exp.folder().display());
        tell_what_is_there(&exp);
        if let Some(sync) = exp.sync_status() {
            tracing::info!("uploading it to {}", sync.url);
        }
        Ok(exp)
    }
}

/// Logs that a run adds to rows that are there.
fn tell_what_is_there(exp: &Experiment) {
    let stored = exp.stored_rows();
    if stored.rows > 0 {
        let about = if stored.is_exact { "" } else { "about " };
        let (rows, tracks) = (stored.rows, stored.tracks);
        tracing::info!(
            "the experiment has {about}{rows} rows in {tracks} tracks already; this run adds to them"
        );
    }
}

/// The given server, else the mapping's. The mapping's token settings apply to both.
fn remote(given: UploadArgs, mapping: &Mapping) -> Option<Remote> {
    let mapped = mapping.remote();
    let mut remote = Remote::new(given.remote.or_else(|| mapped.map(|remote| remote.url.clone()))?);
    if let Some(mapped) = mapped {
        remote = remote.keep(mapped.keep);
        if let Some(variable) = &mapped.token_env {
            remote = remote.token_variable(variable);
        }
        if let Some(max_local) = mapped.max_local {
            remote = remote.max_local(max_local.get(), mapped.when_full);
        }
    }
    Some(given.token.given_to(remote))
}

/// The mapping's flush settings. Those that it leaves open come from the environment.
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
