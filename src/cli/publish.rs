//! `mldash_bridge publish`: recordings as Parquet on an object store.

use std::io::stdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use mldash_bridge::export::publish::{
    GRACE, MAX_INLINE_BYTES, PublishError, PublishOptions, Published, Publisher, StoreSettings,
    Vacuumed, vacuum,
};
use mldash_bridge::export::{ExportError, Progress, Recording};
use mldash_bridge::mapping::Bytes;
use mldash_bridge::track::{Experiment, RunStatus, one_line};
use parking_lot::Mutex;
use serde::Serialize;

use super::args::{RootArgs, parse_duration};
use super::{ExitCode, Failure, output, pattern, progress, stop};

/// Experiments that are published at the same time: a small one waits for the store most of the time.
const AT_ONCE: usize = 4;
/// An experiment whose tracks take more than this on the disk, or its list of files in memory, is the only such one at a time, so that memory
/// stays flat.
const LARGE_BYTES: u64 = 16 << 20;
/// How often the progress bar moves.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The experiments: names or globs such as 'alice/lab/*'. What lies below a folder that matches is taken too.
    #[arg(value_name = "EXPERIMENT", required_unless_present = "vacuum")]
    experiments: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
    /// Where to: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER. Credentials come from the
    /// environment (AWS_…, GOOGLE_…, AZURE_…).
    #[arg(long, value_name = "URL")]
    to: String,
    /// Where an S3-compatible store listens, such as https://minio.example.org:9000.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Put pictures and clouds up to this size (64kB, 1MiB; at most 16MiB) into the rows instead of files of their own.
    #[arg(long, value_name = "SIZE", value_parser = parse_inline)]
    inline_files: Option<Bytes>,
    /// Send at most so many bytes a second, such as 500kB.
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    limit_rate: Option<Bytes>,
    /// Afterwards remove what no manifest names and is older than --grace.
    #[arg(long)]
    vacuum: bool,
    /// With --vacuum: how old an object must be, in seconds. Younger ones may belong to a publisher that is at work.
    /// Default: 86400, a day.
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration, requires = "vacuum")]
    grace: Option<Duration>,
    /// For a store that does not take conditional puts: nobody else publishes there.
    #[arg(long)]
    single_writer: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What was done, for programs.
#[derive(Debug, Default, Serialize)]
struct Report {
    experiments: Vec<Entry>,
    requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Removed>,
}

#[derive(Debug, Serialize)]
struct Entry {
    experiment: String,
    rows: u64,
    rows_put: u64,
    files_of_rows_put: u64,
    files_of_rows_replaced: u64,
    files_put: u64,
    bytes_put: u64,
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Removed {
    objects: u64,
    bytes: u64,
    left_as_too_young: u64,
}

pub(crate) fn run(args: &PublishArgs) -> Result<ExitCode, Failure> {
    let is_stopped = stop::stop_flag()?;
    let names = pattern::names(&args.experiments, &args.root)?;
    let settings = StoreSettings {
        url: args.to.clone(),
        endpoint: args.endpoint.clone(),
        limit_rate: args.limit_rate.map(Bytes::get),
        single_writer: args.single_writer,
    };
    let store = settings.open()?.stop_when(is_stopped.clone());
    let inline_files = args.inline_files.map(Bytes::get);
    let options = PublishOptions { inline_files, ..PublishOptions::default() };
    let publisher = Publisher::new(store, options)?;
    let mut all = publish_all(&publisher, &names, args, &is_stopped);
    all.done.sort_by(|a, b| a.experiment.cmp(&b.experiment));
    for published in &all.done {
        tell(published);
    }
    let mut report =
        Report { experiments: all.done.iter().map(Entry::from).collect(), ..Report::default() };
    let is_whole = all.done.iter().all(Published::is_whole) && all.left_out == 0;
    if let Some(error) = all.failure {
        return Err(error.into());
    }
    if args.vacuum {
        let removed = vacuum(publisher.store(), args.grace.unwrap_or(GRACE))?;
        tell_removed(removed, publisher.store().url());
        let Vacuumed { objects, bytes, young } = removed;
        report.removed = Some(Removed { objects, bytes, left_as_too_young: young });
    }
    report.requests = publisher.store().requests();
    if args.json {
        output::write_report(&report, true, stdout(), |_| Ok(()))?;
    }
    Ok(if is_whole { ExitCode::Done } else { ExitCode::Missing })
}

/// What became of all experiments.
#[derive(Default)]
struct All {
    done: Vec<Published>,
    left_out: usize,
    /// The first failure; the others are logged.
    failure: Option<PublishError>,
}

fn publish_all(
    publisher: &Publisher,
    names: &[String],
    args: &PublishArgs,
    is_stopped: &Arc<AtomicBool>,
) -> All {
    let all = Mutex::new(All::default());
    let next = AtomicUsize::new(0);
    let running: Vec<Mutex<Arc<Progress>>> = (0..AT_ONCE).map(|_| Mutex::default()).collect();
    let finished = Mutex::new((0, 0));
    let one_large = Mutex::new(());
    let bar = progress::count("rows");
    let work = |slot: &Mutex<Arc<Progress>>| {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            if is_stopped.load(Ordering::Relaxed) {
                all.lock().failure.get_or_insert(PublishError::Stopped);
                return;
            }
            let progress = Arc::new(Progress::default());
            *slot.lock() = progress.clone();
            match publish(publisher, name, args, &one_large, &progress) {
                Ok(Some(published)) => all.lock().done.push(published),
                Ok(None) => all.lock().left_out += 1,
                Err(error) => note_failure(&mut all.lock(), name, error),
            }
            let mut finished = finished.lock();
            *slot.lock() = Arc::default();
            let (done, total) = progress.done();
            *finished = (finished.0 + done, finished.1 + total);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            running.iter().take(names.len()).map(|slot| scope.spawn(|| work(slot))).collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            let (mut done, mut total) = *finished.lock();
            for slot in &running {
                let (more, of) = slot.lock().done();
                (done, total) = (done + more, total + of);
            }
            bar.set_length(total);
            bar.set_position(done);
            thread::park_timeout(PROGRESS_EVERY);
        }
    });
    progress::remove(&bar);
    all.into_inner()
}

fn note_failure(all: &mut All, name: &str, error: PublishError) {
    match all.failure {
        None => {
            // The error itself may name only the object.
            tracing::error!("{name} is not published");
            all.failure = Some(error);
        }
        Some(_) => tracing::error!("{name} is not published: {}", one_line(&error)),
    }
}

/// Publishes an experiment; `None` if it is being recorded.
fn publish(
    publisher: &Publisher,
    name: &str,
    args: &PublishArgs,
    one_large: &Mutex<()>,
    progress: &Progress,
) -> Result<Option<Published>, PublishError> {
    let read = |source| ExportError::Track { experiment: name.to_owned(), source };
    let experiment = Experiment::open_read_only(name, args.root.path()).map_err(read)?;
    let is_over = experiment.notes().map_err(read)?.status.is_some_and(RunStatus::is_final);
    if !is_over && experiment.is_being_written().map_err(read)? {
        tracing::warn!("{name} is being recorded and is left out; publish it once that has ended");
        return Ok(None);
    }
    let bytes: u64 = experiment.list().map_err(read)?.iter().map(|track| track.size_bytes).sum();
    let list_bytes = experiment.files("").list_weight().map_err(read)? as u64;
    let _alone = (bytes.max(list_bytes) > LARGE_BYTES).then(|| one_large.lock());
    publisher.publish(&Recording { name: name.to_owned(), experiment }, progress).map(Some)
}

fn tell(published: &Published) {
    let Published { experiment, rows, rows_put, files_of_rows, replaced, files, bytes, .. } =
        published;
    match published.is_up_to_date {
        true => tracing::info!("{experiment}: all {rows} rows were there"),
        false => {
            let replaced = match replaced {
                0 => String::new(),
                replaced => format!(", which replace {replaced}"),
            };
            let files =
                if *files > 0 { format!(" and {files} pictures or clouds") } else { String::new() };
            tracing::info!(
                "{experiment}: put {rows_put} of {rows} rows in {files_of_rows} files{replaced}{files} ({})",
                Bytes::new(*bytes)
            );
        }
    }
    for remark in published.remarks() {
        tracing::warn!("{experiment}: {remark}");
    }
}

fn tell_removed(removed: Vacuumed, url: &str) {
    let Vacuumed { objects, bytes, young } = removed;
    tracing::info!(
        "removed {objects} objects ({}) that nothing names from {url}",
        Bytes::new(bytes)
    );
    if young > 0 {
        tracing::info!("{young} more are younger than the grace period, and left");
    }
}

fn parse_inline(text: &str) -> Result<Bytes, String> {
    let most: Bytes = text.parse().map_err(|error| format!("{error}"))?;
    if most.get() > MAX_INLINE_BYTES {
        let most = Bytes::new(MAX_INLINE_BYTES);
        Err(format!("{most} is the most; what is larger is an object of its own"))
    } else {
        Ok(most)
    }
}

fn parse_rate(text: &str) -> Result<Bytes, String> {
    let rate: Bytes = text.parse().map_err(|error| format!("{error}"))?;
    if rate.get() == 0 {
        Err("nothing can be sent at 0 bytes a second".to_owned())
    } else {
        Ok(rate)
    }
}

impl From<&Published> for Entry {
    fn from(published: &Published) -> Self {
        Self {
            experiment: published.experiment.clone(),
            rows: published.rows,
            rows_put: published.rows_put,
            files_of_rows_put: published.files_of_rows,
            files_of_rows_replaced: published.replaced,
            files_put: published.files,
            bytes_put: published.bytes,
            remarks: published.remarks(),
        }
    }
}
