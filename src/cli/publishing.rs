//! Publishes the parts of a recording in the background, as the mapping's `publish` says.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mldash_bridge::export::publish::{
    BackgroundPublisher, MAX_INLINE_BYTES, PublishOptions, StoreSettings,
};
use mldash_bridge::mapping::{Bytes, MAX_INLINE_FILES, Mapping, Publish};
use mldash_bridge::record::{Account, Recorder};

use super::Failure;

/// How long the program waits at its end for what is closed to be published; as long as for a server.
const TIMEOUT: Duration = Duration::from_secs(30);

// What the mapping takes goes into the rows.
const _: () = assert!(MAX_INLINE_FILES.get() == MAX_INLINE_BYTES);

/// The publication of a recording, if there is one.
pub(super) struct Publishing {
    publisher: Option<BackgroundPublisher>,
    to: Option<Publish>,
}

impl Publishing {
    /// Starts to publish what the recorder closes, and what earlier recordings under `root` left.
    pub(super) fn start(
        mapping: &Mapping,
        root: &Path,
        recorder: &mut Recorder,
    ) -> Result<Self, Failure> {
        let to = mapping.publish().cloned();
        let Some(publish) = &to else { return Ok(Self { publisher: None, to }) };
        let settings = StoreSettings {
            url: publish.to.clone(),
            endpoint: publish.endpoint.clone(),
            limit_rate: publish.limit_rate.map(Bytes::get),
            single_writer: publish.single_writer,
        };
        let inline_files = publish.inline_files.map(Bytes::get);
        let options = PublishOptions { inline_files, ..PublishOptions::default() };
        let publisher = BackgroundPublisher::start(root, settings, options)?;
        recorder.watch_parts(Arc::new(publisher.clone()));
        tracing::info!("publishing each part to {} once it is closed", publish.to);
        Ok(Self { publisher: Some(publisher), to })
    }

    /// Waits for what is closed, notes in the account how far it is, and says how to publish the rest.
    pub(super) fn finish(self, account: &mut Account, root: &Path, hurry: &AtomicBool) {
        let (Some(publisher), Some(to)) = (self.publisher, self.to) else { return };
        let status = publisher.finish(TIMEOUT, hurry);
        if !status.is_complete() {
            tracing::warn!(
                "{} parts are not published yet; the next recording into {} goes on, and so does `mldash_bridge publish \
                 '**' --root '{}' {}`",
                status.parts_waiting,
                root.display(),
                root.display(),
                options(&to)
            );
        }
        account.publish = Some(status);
    }
}

/// What the mapping says, as the command line says it: with other settings, what is published would be replaced.
fn options(publish: &Publish) -> String {
    let mut text = format!("--to {}", publish.to);
    let endpoint = publish.endpoint.as_ref().map(|endpoint| format!(" --endpoint {endpoint}"));
    let inline = publish.inline_files.map(|size| format!(" --inline-files {}", size.get()));
    let rate = publish.limit_rate.map(|rate| format!(" --limit-rate {}", rate.get()));
    let single = publish.single_writer.then(|| " --single-writer".to_owned());
    [endpoint, inline, rate, single].into_iter().flatten().for_each(|option| text += &option);
    text
}
