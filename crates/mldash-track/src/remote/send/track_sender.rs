//! Reads a track's next rows from the store, sends them and handles the result. A refused request is
//! halved until the bad rows are found. They are set aside, and the others are sent. A server that
//! takes no request, however small, fails; none of the rows is to blame.

use std::ops::Range;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio::task::block_in_place;

use super::http::Api;
use super::session::Session;
use crate::error::one_line;
use crate::json::{Columns, JsonWriter, NonFinite, RowParser};
use crate::local::{
    Backlog, Follower, Lines, Snapshot, StoreError, TrackMetadata, load_schema, note_schema,
};
use crate::remote::error::{CallError, Fault};
use crate::remote::plan::{FileId, FileNames, WireRows};
use crate::remote::state::{FileQueue, Refusal, Refusals, Refused};
use crate::row::{TIMESTAMP_COLUMN, Timestamp, TrackSchema};

/// The maximum size of a request; servers commonly accept a megabyte.
const MAX_BATCH_BYTES: usize = 512 << 10;
/// A server that answers even this with 413 does not mean the row.
const MIN_BATCH_BYTES: usize = 8 << 10;
const MAX_BATCH_ROWS: usize = 2000;
/// How often one batch is halved to find its bad rows. What is left then goes with the next, smaller
/// batch.
const MAX_HALVINGS: u32 = 64;

/// What all calls of an upload share.
#[derive(Debug)]
pub(crate) struct SendContext {
    pub(crate) api: Api,
    pub(crate) files: Mutex<FileQueue>,
}

/// A track being sent.
#[derive(Debug)]
pub(crate) struct TrackSender {
    pub(crate) topic: String,
    folder: PathBuf,
    follower: Follower,
    /// Set once the server knows the track, with the declared columns that it knows.
    made: Option<TrackSchema>,
    size: RequestSize,
    /// The largest request that the server has taken, in bytes before compression.
    accepted_bytes: usize,
}

/// The size of a request: smaller after a timeout, larger after a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestSize {
    bytes: usize,
    rows: usize,
}

/// How far a batch was sent.
struct Sent {
    /// The rows before this one were taken or set aside.
    rows: usize,
    /// Why the others were not sent, unless they only need another batch.
    error: Option<CallError>,
}

/// The result of sending a track's next rows.
#[derive(Debug, Default)]
pub(crate) struct RowsOutcome {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) nulled: u64,
    /// The rows that the server refused.
    refusals: Vec<Refusal>,
    /// How many rows it refused, and its last text on it.
    pub(crate) refused: Option<(u64, String)>,
    /// Files that the next row names and the server lacks.
    pub(crate) awaits: Vec<FileId>,
    /// Why the rows after these were not sent.
    pub(crate) error: Option<CallError>,
}

impl TrackSender {
    pub(crate) fn new(topic: String, folder: PathBuf, follower: Follower) -> Self {
        let size = RequestSize { bytes: MAX_BATCH_BYTES, rows: MAX_BATCH_ROWS };
        Self { topic, folder, follower, made: None, size, accepted_bytes: 0 }
    }

    pub(crate) fn follower(&self) -> &Follower {
        &self.follower
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server does not know the track any more.
    pub(crate) fn unmake(&mut self) {
        self.made = None;
    }

    /// Returns what waits.
    pub(crate) fn backlog(&mut self) -> Result<Backlog, StoreError> {
        self.follower.refresh()
    }

    /// Sends the next rows. A refusal is in `refused`'s file before it counts as done.
    pub(crate) async fn send(
        &mut self,
        context: &SendContext,
        session: &Session,
        refused: &Mutex<Refusals>,
    ) -> RowsOutcome {
        let mut done = RowsOutcome::default();
        if let Err(error) = self.send_next(context, session, refused, &mut done).await {
            // Rows that will be sent again do not count.
            done = RowsOutcome { error: Some(error), ..RowsOutcome::default() };
        }
        done
    }

    async fn send_next(
        &mut self,
        context: &SendContext,
        session: &Session,
        refused: &Mutex<Refusals>,
        done: &mut RowsOutcome,
    ) -> Result<(), CallError> {
        self.make(&context.api, session).await?;
        let batch = block_in_place(|| self.read(&context.files)).map_err(|e| store_error(&e))?;
        let sent = self.send_batch(&context.api, session, &batch, 0, done).await;
        done.refused =
            done.refusals.last().map(|last| (done.refusals.len() as u64, last.answer.clone()));
        // On disk before the rows count as done; otherwise a crash would lose them.
        block_in_place(|| refused.lock().add(std::mem::take(&mut done.refusals)))
            .map_err(|error| store_error(&error))?;
        let taken_bytes = batch.bytes_of_first(sent.rows);
        if taken_bytes > 0 {
            done.bytes = taken_bytes as u64;
            self.follower.take(&batch.lines, taken_bytes);
        }
        done.error = sent.error;
        if sent.rows == batch.len() {
            done.awaits = batch.awaits;
        }
        Ok(())
    }

    /// Sends refused rows again: the rows of these times, as the store has them now. What is refused
    /// again is put back, and still on disk from before.
    pub(crate) async fn send_again(
        &mut self,
        context: &SendContext,
        session: &Session,
        refused: &Mutex<Refusals>,
        times: &[Timestamp],
    ) -> RowsOutcome {
        let mut done = RowsOutcome::default();
        for times in times.chunks(MAX_BATCH_ROWS) {
            if let Err(error) = self.send_times(context, session, times, &mut done).await {
                // They stay refused.
                done.refusals.extend(times.iter().map(|ts| self.refusal(*ts, &error.text)));
                done.error = Some(error);
            }
        }
        refused.lock().put_back(std::mem::take(&mut done.refusals));
        done
    }

    /// Sends the stored rows of these times.
    async fn send_times(
        &mut self,
        context: &SendContext,
        session: &Session,
        times: &[Timestamp],
        done: &mut RowsOutcome,
    ) -> Result<(), CallError> {
        self.make(&context.api, session).await?;
        let text = block_in_place(|| self.stored_rows(times)).map_err(|e| store_error(&e))?;
        let lines = Lines { text, ..Lines::default() };
        let batch = WireRows::new(lines, MAX_BATCH_ROWS, &FileNames::default());
        let mut rows = 0;
        while rows < batch.len() {
            let sent = self.send_batch(&context.api, session, &batch, rows, done).await;
            match sent.error {
                Some(error) => return Err(error),
                None => rows = sent.rows,
            }
        }
        Ok(())
    }

    /// The stored rows as lines.
    fn stored_rows(&self, times: &[Timestamp]) -> Result<Vec<u8>, StoreError> {
        let mut text = Vec::new();
        let Some(snapshot) = Snapshot::open(&self.folder)? else { return Ok(text) };
        let mut lookup = snapshot.lookup(f64::NEG_INFINITY, f64::INFINITY);
        for ts in times {
            // Skip a row that is no longer in the store.
            let Some(raw) = lookup.row(*ts)? else { continue };
            match raw.single_line() {
                Some(line) => text.extend_from_slice(line.trim_ascii()),
                None => {
                    let row = raw.parse(&mut RowParser::default(), &Columns::All);
                    let row = row.map_err(|error| StoreError::Malformed {
                        path: self.folder.clone(),
                        reason: error.to_string(),
                    })?;
                    let mut writer = JsonWriter::new(&mut text, NonFinite::Tokens);
                    writer.row(TIMESTAMP_COLUMN, row.ts, &row.fields);
                }
            }
            text.push(b'\n');
        }
        Ok(text)
    }

    /// Creates the track on the server, unless the server has it with all its declarations.
    async fn make(&mut self, api: &Api, session: &Session) -> Result<(), CallError> {
        // An unreadable schema is reported where the track is written or read.
        let schema = block_in_place(|| load_schema(&self.folder)).unwrap_or_default();
        if self.made.as_ref() == Some(&schema) {
            return Ok(());
        }
        let notes = block_in_place(|| TrackMetadata::load_for(&self.topic, &self.folder))
            .map_err(|error| store_error(&error))?;
        let mut notes = notes.map(|metadata| metadata.notes()).unwrap_or_default();
        note_schema(&mut notes, &schema);
        match session.make_track(api, &self.topic, &notes).await {
            Err(error) if matches!(error.fault, Fault::Refused | Fault::TooLarge) => {
                // Sending its rows shows whether they are accepted anyway.
                tracing::warn!(
                    "{} rejects track `{}`: {}; its rows are sent anyway",
                    api.url(),
                    self.topic,
                    error.text
                );
            }
            made => made?,
        }
        self.made = Some(schema);
        Ok(())
    }

    fn read(&mut self, files: &Mutex<FileQueue>) -> Result<WireRows, StoreError> {
        self.follower.refresh()?;
        let lines = self.follower.read(self.size.bytes)?;
        // Files are saved before the rows that name them, so this sees all files of the rows just
        // read.
        let mut files = files.lock();
        files.refresh()?;
        Ok(WireRows::new(lines, self.size.rows, files.names()))
    }

    /// Sends the batch's rows from row `first` on, in order. Ends early after an error, or once the
    /// batch was halved too often.
    async fn send_batch(
        &mut self,
        api: &Api,
        session: &Session,
        batch: &WireRows,
        first: usize,
        done: &mut RowsOutcome,
    ) -> Sent {
        let mut parts = Vec::from_iter((first < batch.len()).then_some(first..batch.len()));
        let mut halvings = 0;
        let refused_before = done.refusals.len();
        while let Some(part) = parts.pop() {
            let body = batch.body(part.clone());
            let body_bytes = body.len();
            let error = match session.append(api, &self.topic, body, part.len()).await {
                Ok(()) => {
                    self.accepted_bytes = self.accepted_bytes.max(body_bytes);
                    let (lines, nulled) = batch.counts(part);
                    done.rows += lines;
                    done.nulled += nulled;
                    continue;
                }
                Err(error) => error,
            };
            if matches!(error.fault, Fault::TimedOut | Fault::TooLarge) {
                self.size = self.size.halved();
            }
            if !matches!(error.fault, Fault::TooLarge | Fault::Refused) {
                return Sent { rows: part.start, error: Some(error) };
            }
            if part.len() == 1 {
                if error.fault == Fault::TooLarge && !self.means_the_row(body_bytes) {
                    return Sent {
                        rows: part.start,
                        error: Some(takes_nothing(error, body_bytes)),
                    };
                }
                self.set_aside(batch, part, &error.text, done);
            } else if halvings == MAX_HALVINGS {
                self.size = RequestSize { rows: part.len() / 2, ..self.size };
                return Sent { rows: part.start, error: None };
            } else {
                halvings += 1;
                let middle = part.start + part.len() / 2;
                // The earlier half is on top: rows are sent in order.
                parts.extend([middle..part.end, part.start..middle]);
            }
        }
        if done.refusals.len() == refused_before {
            self.size = self.size.grown();
        }
        Sent { rows: batch.len(), error: None }
    }

    /// Whether a server that answers 413 to a request with one row means the row: it has taken as
    /// much before, or the row is large.
    fn means_the_row(&self, body_bytes: usize) -> bool {
        body_bytes <= self.accepted_bytes || body_bytes > MIN_BATCH_BYTES
    }

    fn set_aside(
        &self,
        batch: &WireRows,
        rows: Range<usize>,
        answer: &str,
        done: &mut RowsOutcome,
    ) {
        done.refusals.extend(batch.times(rows).map(|ts| self.refusal(ts, answer)));
    }

    fn refusal(&self, ts: Timestamp, answer: &str) -> Refusal {
        let what = Refused::Row { track: self.topic.clone(), timestamp: ts.as_secs() };
        Refusal { what, answer: answer.to_owned() }
    }
}

impl RequestSize {
    fn halved(self) -> Self {
        Self { bytes: (self.bytes / 2).max(MIN_BATCH_BYTES), rows: (self.rows / 2).max(1) }
    }

    fn grown(self) -> Self {
        Self {
            bytes: (self.bytes + self.bytes / 8).min(MAX_BATCH_BYTES),
            rows: (self.rows + self.rows / 8 + 1).min(MAX_BATCH_ROWS),
        }
    }
}

/// The error for a server, or something before it, that takes no request at all.
fn takes_nothing(error: CallError, body_bytes: usize) -> CallError {
    let text = format!(
        "{}: even a request of {body_bytes} bytes is too large for it; raise the limit for request \
         bodies of the server or of the proxy before it",
        error.text
    );
    CallError { fault: Fault::Server, text, ..error }
}

/// An unreadable store is retried like a failing server.
fn store_error(error: &StoreError) -> CallError {
    CallError::new(Fault::Server, one_line(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_shrinks_when_it_takes_too_long_and_grows_back() {
        let full = RequestSize { bytes: MAX_BATCH_BYTES, rows: MAX_BATCH_ROWS };
        let mut size = (0..30).fold(full, |size, _| size.halved());
        assert_eq!(size, RequestSize { bytes: MIN_BATCH_BYTES, rows: 1 });
        for _ in 0..100 {
            size = size.grown();
        }
        assert_eq!(size, full);
    }
}
