//! The end of a recording, or of a part of one: everything is flushed and closed, and the account is written beside it.

use super::Recorder;
use super::account::{Account, TopicAccount};
use super::closing::Progress;
use super::left_out::LeftOut;
use super::parts::Ended;
use super::topic::TopicRecorder;
use mldash_track::{Experiment, RunStatus, StoreError, TrackError, one_line, replace_file};

/// The file in the experiment's folder that holds the account.
pub const ACCOUNT_FILE: &str = "account.json";

impl Recorder {
    /// Flushes, closes and writes the account beside the tracks. `failure` is why the recording
    /// ended early.
    ///
    /// The account is complete, whatever the second value is.
    ///
    /// # Errors
    /// Fails if the store could not be closed or the account could not be written.
    pub fn finish(mut self, failure: Option<String>) -> (Account, Result<(), TrackError>) {
        let not_saved = self.let_go();
        if self.standstill.is_some() {
            return self.finish_stopped(failure, not_saved);
        }
        self.finish_part(failure, &Progress::default())
    }

    /// [`finish`](Self::finish) of a part, which tells how far it is.
    pub(super) fn finish_part(mut self, failure: Option<String>, progress: &Progress) -> Ended {
        self.frames.wait_until_saved();
        // The close goes on where this fails.
        progress.set_flushed(self.exp.flush_store());
        self.session.end(&self.topics);
        let mut account = self.account();
        let mut topics = self.topics;
        topics.iter_mut().for_each(TopicRecorder::drop_held);
        if let Some(failure) = &failure {
            self.exp.fail_run(failure);
        }
        let (closed, lost, failed) = match self.exp.close_store() {
            Ok(closed) => (closed, Vec::new(), None),
            Err(error) => (error.closed, error.lost, Some(*error.source)),
        };
        for track in &closed.tracks {
            book(&topics, track.merged_on_disk, |topic, rows| {
                topic.count_as_merged(&track.info.topic, rows)
            });
        }
        for lost in &lost {
            book(&topics, lost.rows, |topic, rows| topic.take_back(&lost.topic, rows));
        }
        account.topics = accounts(&topics, &self.left_out);
        account.failure = failure.or_else(|| failed.as_ref().map(|error| one_line(error)));
        account.conclude();
        let (earlier_parts, parts_closed) = self.session.parts.finish();
        account.earlier_parts = earlier_parts;
        let mut written = write_account(&account, &self.exp);
        progress.set_closed();
        // Everything is safe here before anybody waits for a server.
        let status = match account.failure {
            None => RunStatus::Completed,
            Some(_) => RunStatus::Failed,
        };
        if let Some(sync) = self.exp.end_upload(status) {
            account.sync = Some(sync);
            written = written.and_then(|()| write_account(&account, &self.exp));
        }
        self.exp.pack_if_asked();
        if let Some(watcher) = &self.session.watcher {
            watcher.closed(&self.exp);
        }
        self.session.board.close();
        (account, first_error([failed.map_or(Ok(()), Err), parts_closed, written]))
    }
}

/// Returns the first error and logs the others.
pub(super) fn first_error<const N: usize>(
    results: [Result<(), TrackError>; N],
) -> Result<(), TrackError> {
    let mut errors = results.into_iter().filter_map(Result::err);
    let first = errors.next().map_or(Ok(()), Err);
    errors.for_each(|error| tracing::error!("{}", one_line(&error)));
    first
}

/// The topics' accounts, each once, and those of topics that can't be recorded.
pub(super) fn accounts(topics: &[TopicRecorder], left_out: &LeftOut) -> Vec<TopicAccount> {
    let is_first = |(i, topic): &(usize, &TopicRecorder)| {
        !topics[..*i].iter().any(|before| before.shares_account(topic))
    };
    let recorded = topics.iter().enumerate().filter(is_first).map(|(_, topic)| topic.account());
    recorded.chain(left_out.topics().cloned()).collect()
}

/// Attributes `rows` to the topics that they came from.
fn book(topics: &[TopicRecorder], mut rows: u64, take: impl Fn(&TopicRecorder, u64) -> u64) {
    for topic in topics {
        rows -= take(topic, rows);
    }
}

/// Writes the account into the folder of its experiment.
pub(super) fn write_account(account: &Account, exp: &Experiment) -> Result<(), TrackError> {
    let path = exp.folder().join(ACCOUNT_FILE);
    let mut json = serde_json::to_vec_pretty(account)
        .map_err(std::io::Error::from)
        .map_err(|source| StoreError::Io { action: "write", path: path.clone(), source })?;
    json.push(b'\n');
    Ok(replace_file(&path, &json)?)
}
