use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use mldash_track::Fields;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;

/// Many times what anything here takes on a busy machine.
const GENEROUS: Duration = Duration::from_secs(60);

fn named(name: &str) -> ExperimentName {
    name.parse().unwrap()
}

/// Opens so many tracks.
fn append(experiment: &Experiment, tracks: usize) -> Result<(), ApiError> {
    for track in 0..tracks {
        experiment.tracks(&format!("t{track}")).append(Fields::new(), 1.0)?;
    }
    Ok(experiment.flush()?)
}

async fn write(experiments: &Experiments, name: &str, tracks: usize) -> Result<(), ApiError> {
    let name = named(name);
    let work = move |experiment: &Experiment| append(experiment, tracks);
    // Nobody waits for others.
    timeout(GENEROUS, experiments.write(&name, IfAbsent::Make, work)).await.unwrap()
}

/// A write that goes on until the sender is dropped, once it has opened so many tracks.
async fn long_write(
    experiments: &Arc<Experiments>,
    name: &str,
    tracks: usize,
) -> (SyncSender<()>, JoinHandle<Result<(), ApiError>>) {
    let (end, ends): (_, Receiver<()>) = sync_channel(0);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (experiments, name) = (experiments.clone(), named(name));
    let work = move |experiment: &Experiment| {
        append(experiment, tracks)?;
        let _ = begun.send(());
        let _ = ends.recv();
        Ok(())
    };
    let running = tokio::spawn(async move { experiments.write(&name, IfAbsent::Make, work).await });
    begins.await.unwrap();
    (end, running)
}

fn open(experiments: &Experiments) -> Vec<String> {
    let is_open = |slot: &Slot| slot.kept_bytes.load(Ordering::Relaxed) > 0;
    let all = experiments.all().into_iter();
    let mut open: Vec<String> =
        all.filter(|(_, slot)| is_open(slot)).map(|(name, _)| name.to_string()).collect();
    open.sort();
    open
}

async fn until_open(experiments: &Experiments, expected: &[&str]) {
    let is_so = async {
        while open(experiments) != expected {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = timeout(GENEROUS, is_so).await;
    assert!(ended.is_ok(), "open are {:?}", open(experiments));
}

/// What so many open tracks keep.
async fn bytes_of(tracks: usize) -> usize {
    let root = tempfile::tempdir().unwrap();
    let experiments = Experiments::new(root.path(), 1, usize::MAX);
    write(&experiments, "alice/lab/run", tracks).await.unwrap();
    experiments.kept_bytes(|_| true)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_waits_until_a_large_experiment_of_others_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let experiments = Arc::new(Experiments::new(root.path(), 9, bytes_of(7).await));
    let closing = experiments.clone();
    let closing = tokio::spawn(async move { closing.close_outgrown().await });
    write(&experiments, "bob/lab/run", 6).await.unwrap();
    let (end, running) = long_write(&experiments, "bob/lab/run", 6).await;
    // Too much together; Bob's is by far the largest, and in use.
    for _ in 0..3 {
        write(&experiments, "alice/lab/run", 2).await.unwrap();
    }
    drop(end);
    running.await.unwrap().unwrap();
    until_open(&experiments, &["alice/lab/run"]).await;
    closing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_uses_is_closed_rather_than_one_of_its_size_in_use() {
    let root = tempfile::tempdir().unwrap();
    let experiments = Arc::new(Experiments::new(root.path(), 9, bytes_of(6).await));
    write(&experiments, "alice/lab/used", 4).await.unwrap();
    let (end, running) = long_write(&experiments, "alice/lab/used", 4).await;
    write(&experiments, "alice/lab/unused", 3).await.unwrap();
    let closing = experiments.clone();
    let closing = tokio::spawn(async move { closing.close_outgrown().await });
    until_open(&experiments, &["alice/lab/used"]).await;
    drop(end);
    running.await.unwrap().unwrap();
    closing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_tracks_faster_than_they_are_closed_is_refused_and_others_are_not() {
    let root = tempfile::tempdir().unwrap();
    let experiments = Arc::new(Experiments::new(root.path(), 9, bytes_of(4).await));
    write(&experiments, "alice/lab/run", 7).await.unwrap();
    let refused = write(&experiments, "alice/lab/other", 1).await.unwrap_err();
    assert!(refused.is_for_now(), "{}", refused.message());
    write(&experiments, "bob/lab/run", 1).await.unwrap();
    let closing = experiments.clone();
    let closing = tokio::spawn(async move { closing.close_outgrown().await });
    until_open(&experiments, &["bob/lab/run"]).await;
    write(&experiments, "alice/lab/other", 1).await.unwrap();
    closing.abort();
}
