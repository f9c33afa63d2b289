//! The store that is published to: a thin layer over `object_store` that waits (the callers are plain threads), tries again,
//! puts under a condition, and says in an error which object it was about.
//!
//! What each store is asked for: an object appears whole or not at all; a put can demand that nothing is there, or that what
//! is there is what was read before. S3, GCS and Azure do. A folder (`file://`) gets the second one from a lock, which
//! holds among the programs that publish there. A store that takes conditions and ignores them is noticed by
//! [`Store::check`].

mod download;
mod open;
mod paced;
mod removal;
mod tries;
mod upload;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::error::PublishError;
use super::layout::Layout;
pub use open::StoreSettings;
pub use tries::Retries;
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
    /// Once this is set, nothing is waited for.
    stop: Arc<AtomicBool>,
    requests: AtomicU64,
    runtime: Runtime,
}

/// How an object is replaced only if it is still what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updates {
    /// By a condition of the store's own.
    Conditional,
    /// Under a lock of this file.
    Locked(PathBuf),
    /// Without: the caller sees to it that nobody else publishes.
    Unconditional,
}

/// What was read, for a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Version(UpdateVersion);

/// An object that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name below the prefix.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was put.
    pub modified: SystemTime,
}

/// What a put under the condition that nothing is there did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It put the object.
    New,
    /// There is one.
    Existed,
}

impl Store {
    /// A prefix of a store that is open, for tests and for stores of one's own.
    ///
    /// # Errors
    /// Fails if there is no runtime to wait on.
    pub fn over(
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
            stop: Arc::default(),
            requests: AtomicU64::new(0),
            runtime,
        })
    }

    /// How it tries again.
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// What is put and read in one request, and the size of a part of what is larger. S3 takes none below 5 MiB but the last.
    pub fn part_bytes(mut self, bytes: u64) -> Self {
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

    fn is_folder(&self) -> bool {
        self.url.starts_with("file:")
    }

    /// The URL of an object, by its name below the prefix.
    pub fn url_of(&self, name: &str) -> String {
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
    pub fn check_stop(&self) -> Result<(), PublishError> {
        if self.stop.load(Ordering::Relaxed) { Err(PublishError::Stopped) } else { Ok(()) }
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub fn read(&self, name: &str) -> Result<Option<(Bytes, Version)>, PublishError> {
        let place = self.layout.place(name);
        self.absent_or(self.retried("read", name, || async {
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
    pub fn read_range(
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
    pub fn size_of(&self, name: &str) -> Result<Option<u64>, PublishError> {
        let place = self.layout.place(name);
        self.absent_or(
            self.retried("look at", name, || async { Ok(self.objects.head(&place).await?.size) }),
        )
    }

    /// Puts an object, whatever is there.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<(), PublishError> {
        self.put_as(name, bytes, PutMode::Overwrite).map(drop)
    }

    /// Puts an object if none is there.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub fn create(&self, name: &str, bytes: Bytes) -> Result<Created, PublishError> {
        let mode = match self.updates {
            Updates::Unconditional => PutMode::Overwrite,
            Updates::Conditional | Updates::Locked(_) => PutMode::Create,
        };
        created(self.put_as(name, bytes, mode))
    }

    /// Puts an object if what is there is still `before`, or if nothing is there. `None` if that is not so, and nothing was
    /// changed.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub fn update(
        &self,
        name: &str,
        bytes: &Bytes,
        before: Option<&Version>,
    ) -> Result<Option<Version>, PublishError> {
        let mut tries = Tries::new(self);
        loop {
            let error = match self.try_update(name, bytes, before) {
                Ok(updated) => return Ok(updated),
                Err(error) => error,
            };
            tries.wait("put", name, error)?;
            // It may have succeeded: then what is there is what was put.
            match self.read(name)? {
                Some((there, version)) if there == *bytes => return Ok(Some(version)),
                Some((_, version)) if before != Some(&version) => return Ok(None),
                None if before.is_some() => return Ok(None),
                _ => {}
            }
        }
    }

    fn try_update(
        &self,
        name: &str,
        bytes: &Bytes,
        before: Option<&Version>,
    ) -> Result<Option<Version>, StoreError> {
        let place = self.layout.place(name);
        let conditional = || match before {
            Some(Version(version)) => PutMode::Update(version.clone()),
            None => PutMode::Create,
        };
        let put = |mode| {
            let options = PutOptions::from(mode);
            self.asked(self.objects.put_opts(&place, PutPayload::from(bytes.clone()), options))
        };
        let done = match &self.updates {
            Updates::Conditional => put(conditional()),
            Updates::Unconditional => put(PutMode::Overwrite),
            Updates::Locked(path) => {
                let lock = open::lock(path)?;
                let there = match self.asked(self.objects.head(&place)) {
                    Ok(meta) => Some(meta.e_tag),
                    Err(StoreError::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                };
                if there != before.map(|Version(version)| version.e_tag.clone()) {
                    return Ok(None);
                }
                let done = put(PutMode::Overwrite);
                drop(lock);
                done
            }
        };
        match done {
            Ok(put) => Ok(Some(Version(UpdateVersion { e_tag: put.e_tag, version: put.version }))),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls `take` with every object below a folder.
    ///
    /// # Errors
    /// Fails if the store does not answer, or `take` does.
    pub fn list(
        &self,
        folder: &str,
        mut take: impl FnMut(Listed) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let place = self.layout.place(folder);
        let mut last: Option<Path> = None;
        let mut tries = Tries::new(self);
        // A list that breaks off goes on after the last object. A folder's has no order, so that it can't go on.
        let is_sorted = !self.is_folder();
        'again: loop {
            self.count();
            let mut objects = match &last {
                Some(last) => self.objects.list_with_offset(Some(&place), last),
                None => self.objects.list(Some(&place)),
            };
            while let Some(object) = self.runtime.block_on(objects.next()) {
                match object {
                    Ok(object) => {
                        let name = self.layout.name_of(&object.location);
                        last = Some(object.location);
                        if let Some(name) = name {
                            let (bytes, modified) = (object.size, object.last_modified.into());
                            take(Listed { name, bytes, modified })?;
                        }
                    }
                    Err(StoreError::NotFound { .. }) if last.is_none() => return Ok(()),
                    Err(error) if last.is_none() || is_sorted => {
                        tries.wait("list", folder, error)?;
                        continue 'again;
                    }
                    Err(error) => return Err(tries.give_up("list", folder, error)),
                }
            }
            return Ok(());
        }
    }

    /// Removes objects, whether they are there or not.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub fn delete(&self, name: &str) -> Result<(), PublishError> {
        let place = self.layout.place(name);
        self.absent_or(self.retried("remove", name, || self.objects.delete(&place))).map(drop)
    }

    fn put_as(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<(), PublishError> {
        let place = self.layout.place(name);
        self.retried("put", name, || {
            let options = PutOptions::from(mode.clone());
            self.objects.put_opts(&place, PutPayload::from(bytes.clone()), options)
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
        self.runtime.block_on(async {
            let mut ask = std::pin::pin!(ask);
            // To the store, a stop is what a kill is.
            loop {
                match timeout(LOOK_FOR_STOP, ask.as_mut()).await {
                    Ok(answer) => return answer,
                    Err(_) if self.stop.load(Ordering::Relaxed) => {
                        let source = "stopped".into();
                        return Err(StoreError::Generic { store: "publisher", source });
                    }
                    Err(_) => {}
                }
            }
        })
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// `None` for what is not there.
    fn absent_or<T>(&self, answer: Result<T, PublishError>) -> Result<Option<T>, PublishError> {
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
}

/// What a put under the condition that nothing is there answered.
fn created(put: Result<(), PublishError>) -> Result<Created, PublishError> {
    match put {
        Ok(()) => Ok(Created::New),
        Err(PublishError::Store { source, .. })
            if matches!(*source, StoreError::AlreadyExists { .. }) =>
        {
            Ok(Created::Existed)
        }
        Err(error) => Err(error),
    }
}
