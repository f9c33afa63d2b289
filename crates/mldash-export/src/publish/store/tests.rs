//! Stops, by a store that is told to stop while it answers, and takes its time.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{LOOK_FOR_STOP, Store, Updates};
use crate::publish::error::PublishError;

/// Sets `stop` once it is asked for what takes long.
#[derive(Clone, Debug)]
struct Slow {
    inner: Arc<InMemory>,
    stop: Arc<AtomicBool>,
}

impl Slow {
    fn over(inner: &Arc<InMemory>, updates: Updates) -> Store {
        let stop = Arc::new(AtomicBool::new(false));
        let slow = Self { inner: inner.clone(), stop: stop.clone() };
        Store::over(Arc::new(slow), Path::from("lake"), "memory:///lake", updates)
            .unwrap()
            .stop_when(stop)
    }

    async fn take_long(self) {
        self.stop.store(true, Ordering::Relaxed);
        tokio::time::sleep(LOOK_FOR_STOP * 4).await;
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Slow {
    /// As a folder does it: a thread of its own goes on with it, whether it is waited for or not.
    async fn put_opts(&self, at: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        let (slow, at) = (self.clone(), at.clone());
        let put = tokio::spawn(async move {
            slow.clone().take_long().await;
            slow.inner.put_opts(&at, payload, how).await
        });
        put.await?
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let slow = self.clone();
        places
            .then(move |place| {
                let slow = slow.clone();
                async move {
                    slow.take_long().await;
                    place
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let long = futures_util::stream::once(self.clone().take_long());
        let none = long.filter_map(|()| async { None });
        none.chain(self.inner.list(prefix)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

#[test]
fn a_folder_stays_locked_until_what_was_begun_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let objects = Arc::new(InMemory::new());
    let store = Slow::over(&objects, Updates::Locked(path.clone()));
    store.update("manifest", &Bytes::from_static(b"1"), None).unwrap_or_default();
    // Whoever gets the lock sees what was written under it.
    File::open(&path).unwrap().lock().unwrap();
    let reader = Store::over(objects, Path::from("lake"), "memory:///lake", Updates::Conditional);
    let there = reader.unwrap().read("manifest").unwrap().map(|(bytes, _)| bytes);
    assert_eq!(there, Some(Bytes::from_static(b"1")));
}

#[test]
fn a_stop_ends_a_wait_for_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let held = File::create(&path).unwrap();
    held.lock().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let objects = Arc::new(InMemory::new());
    let store = Store::over(objects, Path::from("lake"), "memory:///lake", Updates::Locked(path));
    let store = store.unwrap().stop_when(stop.clone());
    thread::scope(|scope| {
        let update = scope.spawn(|| store.update("manifest", &Bytes::from_static(b"1"), None));
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(update.join().unwrap(), Err(PublishError::Stopped)));
    });
}

#[test]
fn a_stop_ends_lists_and_removals() {
    let objects = Arc::new(InMemory::new());
    let store = Slow::over(&objects, Updates::Conditional);
    let listed = store.list("tracks", |_| Ok(()));
    assert!(matches!(listed, Err(PublishError::Stopped)), "{listed:?}");
    let store = Slow::over(&objects, Updates::Conditional);
    let removed = store.delete_all(&["tracks/a".to_owned(), "tracks/b".to_owned()]);
    assert!(matches!(removed, Err(PublishError::Stopped)), "{removed:?}");
}
