//! The store that is published to: a thin layer over `object_store` that waits (the callers are plain threads), tries again,
//! puts under a condition, and says in an error which object it was about.
//!
//! What each store is asked for: an object appears whole or not at all; a put can demand that nothing is there, or that what
//! is there is what was read before. S3, GCS and Azure do. A folder (`file://`) gets the second one from a lock, which
//! holds among the programs that publish there. A store that takes conditions and ignores them is noticed by
//! [`Store::check`].

mod conditional;
mod download;
mod list;
mod open;
mod paced;
mod removal;
#[cfg(test)]
mod tests;
mod tries;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::PublishError;
use super::layout::Layout;
pub(super) use conditional::{Created, Updates, Version};
pub(super) use list::Listed;
pub use open::StoreSettings;
use paced::Pace;
pub(super) use removal::AT_ONCE;
pub(super) use tries::Retries;
use tries::Tries;
pub(super) use upload::Source;

/// How soon a request notices that it is told to stop.
const LOOK_FOR_STOP: Duration = Duration::from_millis(50);
/// What is put in one request.
const PART_BYTES: u64 = 8 << 20;

/// A store and the prefix that is published to.
#[derive(Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    layout: Layout,
    url: String,
    updates: Updates,
    part_bytes: u64,
    retries: Retries,
    /// Of writes to a folder; over HTTP the client keeps to it.
    pace: Option<Pace>,
    /// Once this is set, nothing is waited for.
    stop: Arc<AtomicBool>,
    requests: AtomicU64,
    runtime: Runtime,
}

impl Store {
    /// A prefix of a store that is open, for tests and for stores of one's own.
    ///
    /// # Errors
    /// Fails if there is no runtime to wait on.
    pub(super) fn over(
        objects: Arc<dyn ObjectStore>,
        prefix: Path,
        url: impl Into<String>,
        updates: Updates,
    ) -> Result<Self, PublishError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("publish-io")
            .enable_all()
            .build()
            .map_err(PublishError::Start)?;
        Ok(Self {
            objects,
            layout: Layout::below(prefix),
            url: url.into().trim_end_matches('/').to_owned(),
            updates,
            part_bytes: PART_BYTES,
            retries: Retries::default(),
            pace: None,
            stop: Arc::default(),
            requests: AtomicU64::new(0),
            runtime,
        })
    }

    /// How it tries again.
    pub(super) fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Writes no faster than that, for a folder.
    fn paced(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// What is put and read in one request, and the size of a part of what is larger. S3 takes none below 5 MiB but the last.
    #[cfg(test)]
    pub(super) fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes.max(1);
        self
    }

    /// Ends waits early once this is set.
    pub fn stop_when(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// The URL of the prefix.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is a folder of files.
    pub(super) fn is_folder(&self) -> bool {
        self.url.starts_with("file:")
    }

    /// The URL of an object, by its name below the prefix.
    pub(super) fn url_of(&self, name: &str) -> String {
        match self.is_folder() {
            // There a percent sign of the name would be taken for one of the URL.
            true => format!("{}/{}", self.url, name.replace('%', "%25")),
            false => format!("{}/{name}", self.url),
        }
    }

    /// Requests so far, those that failed too.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether it was told to stop.
    ///
    /// # Errors
    /// Fails with [`PublishError::Stopped`] then.
    pub(super) fn check_stop(&self) -> Result<(), PublishError> {
        if self.is_stopped() { Err(PublishError::Stopped) } else { Ok(()) }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) fn read(&self, name: &str) -> Result<Option<(Bytes, Version)>, PublishError> {
        let place = self.layout.place(name);
        absent_or(self.retried("read", name, || async {
            let got = self.objects.get(&place).await?;
            let version =
                UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            Ok((got.bytes().await?, Version(version)))
        }))
    }

    /// Reads a part of an object.
    ///
    /// # Errors
    /// Fails if it is not there or the store does not answer.
    pub(super) fn read_range(
        &self,
        name: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, PublishError> {
        let place = self.layout.place(name);
        self.retried("read", name, || self.objects.get_range(&place, range.clone()))
    }

    /// The size of an object; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) fn size_of(&self, name: &str) -> Result<Option<u64>, PublishError> {
        let place = self.layout.place(name);
        absent_or(
            self.retried("look at", name, || async { Ok(self.objects.head(&place).await?.size) }),
        )
    }

    /// Puts an object, whatever is there.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub(super) fn put(&self, name: &str, bytes: Bytes) -> Result<(), PublishError> {
        self.put_as(name, bytes, PutMode::Overwrite).map(drop)
    }

    /// Removes an object, whether it is there or not.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) fn delete(&self, name: &str) -> Result<(), PublishError> {
        let place = self.layout.place(name);
        absent_or(self.retried("remove", name, || self.objects.delete(&place))).map(drop)
    }

    fn put_as(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<(), PublishError> {
        let place = self.layout.place(name);
        self.retried("put", name, || async {
            self.in_pace(bytes.len()).await;
            let options = PutOptions::from(mode.clone());
            self.objects.put_opts(&place, PutPayload::from(bytes.clone()), options).await
        })
        .map(drop)
    }

    /// Asks until it is answered.
    fn retried<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        action: &'static str,
        name: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, PublishError> {
        let mut tries = Tries::new(self);
        loop {
            match self.asked(ask()) {
                Ok(answer) => return Ok(answer),
                Err(error) => tries.wait(action, name, error)?,
            }
        }
    }

    /// Asks once.
    fn asked<T>(&self, ask: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.count();
        self.unless_stopped(ask)?
    }

    /// Waits for an answer, or for a stop: to the store, that is what a kill is.
    fn unless_stopped<T>(&self, answer: impl Future<Output = T>) -> Result<T, StoreError> {
        self.runtime.block_on(async {
            let mut answer = std::pin::pin!(answer);
            loop {
                match timeout(LOOK_FOR_STOP, answer.as_mut()).await {
                    Ok(answer) => return Ok(answer),
                    Err(_) if self.is_stopped() => return Err(stopped()),
                    Err(_) => {}
                }
            }
        })
    }

    /// Returns when so many bytes may be written.
    async fn in_pace(&self, bytes: usize) {
        if let Some(pace) = &self.pace {
            sleep_until(pace.take(bytes, Instant::now())).await;
        }
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer to a request that a stop broke off.
fn stopped() -> StoreError {
    StoreError::Generic { store: "publisher", source: "stopped".into() }
}

/// `None` for what is not there.
fn absent_or<T>(answer: Result<T, PublishError>) -> Result<Option<T>, PublishError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(PublishError::Store { source, .. })
            if matches!(*source, StoreError::NotFound { .. }) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
