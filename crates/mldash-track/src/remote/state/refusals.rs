//! What a server refused, with its answers: one JSON line each in a file beside the progress. A row
//! is identified by its time, so a retry sends what the store holds for that time by then.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::make_folder;
use crate::local::{StoreError, replace_file};
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
    pub(crate) fn load(path: PathBuf) -> Self {
        let mut refused = Self { path, rows: BTreeMap::new(), files: BTreeMap::new() };
        let text = std::fs::read(&refused.path).unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(refusal) = serde_json::from_slice(line) {
                refused.insert(refusal);
            }
        }
        refused
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

    /// Adds refusals. They are on disk when it returns.
    pub(crate) fn add(&mut self, refusals: Vec<Refusal>) -> Result<(), StoreError> {
        let mut text = Vec::new();
        for refusal in refusals {
            if let Ok(line) = serde_json::to_vec(&refusal)
                && self.insert(refusal)
            {
                text.extend(line);
                text.push(b'\n');
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        make_folder(&self.path)?;
        let appended = OpenOptions::new().create(true).append(true).open(&self.path);
        appended
            .and_then(|mut file| file.write_all(&text))
            .map_err(StoreError::io("append to", &self.path))
    }

    /// Takes out all rows for a retry. They stay on disk until [`save`](Self::save).
    pub(crate) fn take_rows(&mut self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.rows).into_keys().collect()
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
        let lines = rows.chain(files).filter_map(|refusal| serde_json::to_vec(&refusal).ok());
        let mut text = Vec::new();
        for line in lines {
            text.extend(line);
            text.push(b'\n');
        }
        replace_file(&self.path, &text)
    }

    /// Returns true if it is new.
    fn insert(&mut self, refusal: Refusal) -> bool {
        match refusal.what {
            Refused::Row { track, timestamp } => Timestamp::new(timestamp)
                .is_ok_and(|ts| self.rows.insert((track, ts), refusal.answer).is_none()),
            Refused::File { file } => self.files.insert(file, refusal.answer).is_none(),
        }
    }
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
        let mut refused = Refusals::load(path.clone());
        refused.add(vec![row(1.5), row(2.5), row(1.5)]).unwrap();
        refused
            .add(vec![Refusal { what: Refused::File { file: 7 }, answer: "400".into() }])
            .unwrap();
        let mut again = Refusals::load(path.clone());
        assert_eq!((again.rows(), again.files()), (2, 1));
        assert_eq!(again.take_rows().len(), 2);
        again.save().unwrap();
        let mut rest = Refusals::load(path.clone());
        assert_eq!((rest.rows(), rest.take_files()), (0, vec![7]));
        rest.save().unwrap();
        assert!(!path.exists());
    }
}
