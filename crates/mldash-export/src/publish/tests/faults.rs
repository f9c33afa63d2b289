//! An object store in memory that fails as it is told, and looks after each request whether readers see what they may.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) enum Fault {
    /// The connection is cut before the store hears of it.
    CutBefore,
    /// The store does it, and the connection is cut before it answers.
    CutAfter,
    Status500,
    SlowDown,
    /// The program is killed before the request, or right after it.
    KilledBefore,
    KilledAfter,
}

pub(in crate::publish) const FAULTS: [Fault; 6] = [
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Status500,
    Fault::SlowDown,
    Fault::KilledBefore,
    Fault::KilledAfter,
];

/// What happens to the request of this number.
type Plan = dyn Fn(u64) -> Option<Fault> + Send + Sync;
type Hook = Box<dyn FnMut(u64) + Send>;

/// One program's way to the store.
#[derive(Clone)]
pub(in crate::publish) struct Faulty {
    pub(in crate::publish) inner: Arc<InMemory>,
    plan: Arc<Plan>,
    state: Arc<Mutex<State>>,
}

/// An upload in parts.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    store: Faulty,
}

#[async_trait::async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let begun = self.store.begin();
        let part = self.inner.put_part(data);
        let store = self.store.clone();
        Box::pin(async move {
            let begun = begun?;
            store.end(begun, part.await)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let begun = self.store.begin()?;
        let answer = self.inner.complete().await;
        self.store.end(begun, answer)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[derive(Default)]
struct State {
    requests: u64,
    is_dead: bool,
    is_careless: bool,
    before: Option<Hook>,
    after: Option<Hook>,
    reads: Vec<Path>,
}

impl Faulty {
    pub(in crate::publish) fn new(inner: &Arc<InMemory>, faults: Vec<(u64, Fault)>) -> Self {
        Self::planned(inner, move |number| {
            faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault)
        })
    }

    /// With a plan that may also wait.
    pub(in crate::publish) fn planned(
        inner: &Arc<InMemory>,
        plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: inner.clone(), plan: Arc::new(plan), state: Arc::default() }
    }

    /// It puts whatever the condition.
    pub(in crate::publish) fn careless(self) -> Self {
        self.state.lock().is_careless = true;
        self
    }

    /// Calls this with the number of each request, before it is made.
    pub(in crate::publish) fn before(self, hook: impl FnMut(u64) + Send + 'static) -> Self {
        self.state.lock().before = Some(Box::new(hook));
        self
    }

    /// Calls this after each request.
    pub(in crate::publish) fn after(self, hook: impl FnMut(u64) + Send + 'static) -> Self {
        self.state.lock().after = Some(Box::new(hook));
        self
    }

    pub(in crate::publish) fn requests(&self) -> u64 {
        self.state.lock().requests
    }

    /// What was read, as often as it was.
    pub(in crate::publish) fn reads(&self) -> Vec<Path> {
        self.state.lock().reads.clone()
    }

    /// The fault of the next request.
    fn begin(&self) -> Result<(u64, Option<Fault>)> {
        let mut state = self.state.lock();
        if state.is_dead {
            return Err(killed());
        }
        let number = state.requests;
        state.requests += 1;
        drop(state);
        let fault = (self.plan)(number);
        let mut state = self.state.lock();
        state.is_dead |= matches!(fault, Some(Fault::KilledBefore | Fault::KilledAfter));
        let hook = state.before.take();
        drop(state);
        if let Some(mut hook) = hook {
            hook(number);
            self.state.lock().before = Some(hook);
        }
        match fault {
            Some(Fault::CutBefore) => Err(generic("connection reset")),
            Some(Fault::Status500) => Err(generic("status code: 500 Internal Server Error")),
            Some(Fault::SlowDown) => Err(generic("status code: 503 SlowDown")),
            Some(Fault::KilledBefore) => Err(killed()),
            Some(Fault::CutAfter | Fault::KilledAfter) | None => Ok((number, fault)),
        }
    }

    /// What is known of a request that was made.
    fn end<T>(&self, (number, fault): (u64, Option<Fault>), answer: Result<T>) -> Result<T> {
        let hook = self.state.lock().after.take();
        if let Some(mut hook) = hook {
            hook(number);
            self.state.lock().after = Some(hook);
        }
        match fault {
            Some(Fault::CutAfter) => Err(generic("timeout")),
            Some(_) => Err(killed()),
            None => answer,
        }
    }
}

fn generic(words: &str) -> Error {
    Error::Generic { store: "faulty", source: words.to_owned().into() }
}

/// No program goes on after that.
fn killed() -> Error {
    Error::NotSupported { source: "killed".into() }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        let begun = self.begin()?;
        let is_careless = self.state.lock().is_careless;
        let how = if is_careless { PutOptions::default() } else { how };
        let answer = self.inner.put_opts(at, payload, how).await;
        self.end(begun, answer)
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.begin()?;
        let upload = self.inner.put_multipart_opts(at, how).await;
        let inner = self.end(begun, upload)?;
        Ok(Box::new(FaultyUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        let begun = self.begin()?;
        self.state.lock().reads.push(at.clone());
        let answer = self.inner.get_opts(at, how).await;
        self.end(begun, answer)
    }

    async fn get_ranges(&self, at: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.begin() {
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
            Ok(begun) => {
                let deleted = self.inner.delete_stream(places);
                // In memory nothing is waited for.
                let done = futures_util::FutureExt::now_or_never(deleted.collect::<Vec<_>>());
                let done: Result<Vec<Path>> = done.unwrap().into_iter().collect();
                match self.end(begun, done) {
                    Ok(paths) => futures_util::stream::iter(paths.into_iter().map(Ok)).boxed(),
                    Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
                }
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.begin() {
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
            Ok(_) => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
