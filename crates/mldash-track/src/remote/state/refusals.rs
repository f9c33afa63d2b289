//! What a server refused, with its answers: one JSON line each in a file beside the progress. A row
//! is identified by its time, so a retry sends what the store holds for that time by then.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::make_folder;
use crate::local::{StoreError, replace_file, sync_folder};
use crate::row::Timestamp;

/// How many rows and files may be refused, with their answers, before nothing more is sent: a server
/// that refuses so much refuses everything. What is left waits.
pub(crate) const MAX_REFUSED: u64 = 20_000;

/// A refused row or file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    #[serde(flatten)]
    pub(crate) what: Refused,
    /// The server's status and text.
    pub(crate) answer: String,
}

/// A row or a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Refused {
    Row { track: String, timestamp: f64 },
    File { file: u64 },
}

/// Everything refused and not accepted since.
#[derive(Debug)]
pub(crate) struct Refusals {
    path: PathBuf,
    rows: BTreeMap<(String, Timestamp), String>,
    files: BTreeMap<u64, String>,
}

impl Refusals {
    /// Fails if the file is there and can't be read: what is in it must not be forgotten.
    pub(crate) fn load(path: PathBuf) -> Result<Self, StoreError> {
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("read", &path)(error));
            }
            read => read.unwrap_or_default(),
        };
        let mut refused = Self { path, rows: BTreeMap::new(), files: BTreeMap::new() };
        for line in text.split(|byte| *byte == b'\n') {
            // A torn line was not confirmed: what it was about is sent again.
            if let Ok(refusal) = serde_json::from_slice(line) {
                refused.keep(refusal);
            }
        }
        Ok(refused)
    }

    /// The path of the file with the answers.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(crate) fn files(&self) -> u64 {
        self.files.len() as u64
    }

    /// Returns true if nothing more may be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.rows() + self.files() >= MAX_REFUSED
    }

    /// Returns true if rows of this track were refused.
    pub(crate) fn has_rows_of(&self, track: &str) -> bool {
        self.rows.keys().any(|(known, _)| known == track)
    }

    /// The refused files.
    pub(crate) fn file_ids(&self) -> Vec<u64> {
        self.files.keys().copied().collect()
    }

    /// Adds refusals. When it returns, they survive a power cut.
    ///
    /// # Errors
    /// None is added: what they are about is to be sent again.
    pub(crate) fn add(&mut self, mut refusals: Vec<Refusal>) -> Result<(), StoreError> {
        refusals.retain(|refusal| !self.has(&refusal.what));
        if refusals.is_empty() {
            return Ok(());
        }
        make_folder(&self.path)?;
        let written = lines(refusals.iter()).and_then(|text| append(&self.path, &text));
        written.map_err(StoreError::io("append to", &self.path))?;
        self.put_back(refusals);
        Ok(())
    }

    /// Takes out the rows of the tracks that `is_wanted` names, for a retry. They stay on disk until
    /// [`save`](Self::save); those that are refused again are to be [put back](Self::put_back)
    /// before it.
    pub(crate) fn take_rows(
        &mut self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Vec<Timestamp>> {
        let mut taken: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        for ((track, ts), _) in self.rows.extract_if(.., |(track, _), _| is_wanted(track)) {
            taken.entry(track).or_default().push(ts);
        }
        taken
    }

    /// Adds refusals, here only.
    pub(crate) fn put_back(&mut self, refusals: Vec<Refusal>) {
        refusals.into_iter().for_each(|refusal| self.keep(refusal));
    }

    /// Like [`take_rows`](Self::take_rows), for files.
    pub(crate) fn take_files(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.files).into_keys().collect()
    }

    /// Rewrites the file with the current refusals.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        if self.rows.is_empty() && self.files.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(StoreError::io("remove", &self.path)(error))
                }
                _ => Ok(()),
            };
        }
        let rows = self.rows.iter().map(|((track, ts), answer)| Refusal {
            what: Refused::Row { track: track.clone(), timestamp: ts.as_secs() },
            answer: answer.clone(),
        });
        let files = self.files.iter().map(|(file, answer)| Refusal {
            what: Refused::File { file: *file },
            answer: answer.clone(),
        });
        let text = lines(rows.chain(files)).map_err(StoreError::io("write", &self.path))?;
        replace_file(&self.path, &text)
    }

    fn has(&self, what: &Refused) -> bool {
        match what {
            Refused::Row { track, timestamp } => Timestamp::new(*timestamp)
                .is_ok_and(|ts| self.rows.contains_key(&(track.clone(), ts))),
            Refused::File { file } => self.files.contains_key(file),
        }
    }

    fn keep(&mut self, refusal: Refusal) {
        match refusal.what {
            Refused::Row { track, timestamp } => {
                if let Ok(ts) = Timestamp::new(timestamp) {
                    self.rows.insert((track, ts), refusal.answer);
                }
            }
            Refused::File { file } => drop(self.files.insert(file, refusal.answer)),
        }
    }
}

fn lines(refusals: impl Iterator<Item = impl Borrow<Refusal>>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for refusal in refusals {
        serde_json::to_writer(&mut text, refusal.borrow())?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Appends whole lines to the file at `path`, durably.
fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    if !ends_a_line(&mut file)? {
        // A kill or a full disk tore the last line, which must not take the next one with it.
        file.write_all(b"\n")?;
    }
    file.write_all(text)?;
    file.sync_data()?;
    if is_new { sync_folder(path.parent().unwrap_or(path)) } else { Ok(()) }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(timestamp: f64) -> Refusal {
        Refusal {
            what: Refused::Row { track: "arm".into(), timestamp },
            answer: "422 Unprocessable: no".into(),
        }
    }

    #[test]
    fn refusals_are_on_disk_once_each_until_they_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".sync/x.refused.jsonl");
        let mut refused = Refusals::load(path.clone()).unwrap();
        refused.add(vec![row(1.5), row(2.5), row(1.5)]).unwrap();
        refused
            .add(vec![Refusal { what: Refused::File { file: 7 }, answer: "400".into() }])
            .unwrap();
        let mut again = Refusals::load(path.clone()).unwrap();
        assert_eq!((again.rows(), again.files()), (2, 1));
        assert!(again.take_rows(|track| track == "base").is_empty());
        assert_eq!(again.take_rows(|track| track == "arm")["arm"].len(), 2);
        again.save().unwrap();
        let mut rest = Refusals::load(path.clone()).unwrap();
        assert_eq!((rest.rows(), rest.take_files()), (0, vec![7]));
        rest.save().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_refusal_that_could_not_be_written_is_new_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".sync/x.refused.jsonl");
        let mut refused = Refusals::load(path.clone()).unwrap();
        std::fs::write(folder.path().join(".sync"), "in the way").unwrap();
        refused.add(vec![row(1.5)]).unwrap_err();
        assert_eq!(refused.rows(), 0);
        std::fs::remove_file(folder.path().join(".sync")).unwrap();
        refused.add(vec![row(1.5)]).unwrap();
        assert_eq!(Refusals::load(path).unwrap().rows(), 1);
    }

    #[test]
    fn a_torn_line_costs_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.refused.jsonl");
        Refusals::load(path.clone()).unwrap().add(vec![row(1.5), row(2.5)]).unwrap();
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 7]).unwrap();
        let mut torn = Refusals::load(path.clone()).unwrap();
        assert_eq!(torn.rows(), 1);
        torn.add(vec![row(3.5)]).unwrap();
        let mut again = Refusals::load(path).unwrap();
        let times = again.take_rows(|_| true).remove("arm").unwrap();
        assert_eq!(times, [1.5, 3.5].map(|secs| Timestamp::new(secs).unwrap()));
    }

    #[test]
    fn refusals_that_can_not_be_read_are_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let error = Refusals::load(folder.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("can't read"), "{error}");
    }
}
