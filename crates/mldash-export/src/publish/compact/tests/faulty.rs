//! A store on which requests fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    /// It never reaches the store.
    Before,
    /// The store has done it; the answer is lost.
    After,
}

type Plan = dyn Fn(usize) -> Fault + Send + Sync;

/// One client's way to a store that many share: the plan says by its number what happens to each of the client's requests.
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    plan: Box<Plan>,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    pub(super) fn new(
        inner: Arc<InMemory>,
        asked: Arc<AtomicUsize>,
        plan: impl Fn(usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self { inner, plan: Box::new(plan), asked }
    }

    fn next(&self) -> Fault {
        (self.plan)(self.asked.fetch_add(1, Ordering::Relaxed))
    }
}

fn failure() -> Error {
    Error::Generic { store: "test", source: "503 SlowDown".into() }
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

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        let fault = self.next();
        if fault == Fault::Before {
            return Err(failure());
        }
        let done = self.inner.put_opts(at, bytes, how).await?;
        if fault == Fault::After { Err(failure()) } else { Ok(done) }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        match self.next() {
            Fault::None => self.inner.get_opts(at, how).await,
            Fault::Before | Fault::After => Err(failure()),
        }
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, fault) = (self.inner.clone(), self.next());
        places
            .then(move |place| {
                let inner = inner.clone();
                async move {
                    let place = place?;
                    if fault == Fault::Before {
                        return Err(failure());
                    }
                    inner.delete(&place).await?;
                    if fault == Fault::After { Err(failure()) } else { Ok(place) }
                }
            })
            .boxed()
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.next() {
            Fault::None => self.inner.list(folder),
            Fault::Before | Fault::After => stream::iter([Err(failure())]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, folder: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(folder).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
