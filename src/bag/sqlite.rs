//! One `.db3` file of rosbag2, read in the order in which its messages were written, a bounded part of
//! them at a time. SQLite has no checksums: damage shows where it breaks the structure, and not in the
//! bytes of a message.

mod source;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::error::BagError;
use super::file::BagMessage;
use super::packed::Unpacker;
use super::topics::{BagTopics, Channel, Recorded};
use source::Source;

/// What is read at once.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_MESSAGES: usize = 1_000;

/// How many numbers of messages are tried to get past a damaged part, and how many such parts.
const MAX_SKIPPED: i64 = 1 << 16;
const MAX_DAMAGES: usize = 64;

/// A bag while it is read.
pub(super) struct SqliteFile {
    path: PathBuf,
    db: Connection,
    /// By rosbag2's numbers, the topics that are recorded.
    topics: HashMap<i64, Recorded>,
    unpacker: Unpacker,
    /// The messages of those topics after one.
    query: String,
    last_id: i64,
    /// The number of the last message, for progress.
    max_id: i64,
    /// Read and not yet given out.
    ready: VecDeque<BagMessage>,
    /// To be told after those.
    pending: VecDeque<BagError>,
    damages: usize,
    ended: bool,
    /// Dropped after the connection to what it holds.
    source: Source,
}

/// A row of the table `topics`.
struct TopicRow {
    id: i64,
    name: String,
    type_name: String,
    encoding: String,
}

impl SqliteFile {
    pub(super) fn open(
        path: &Path,
        is_packed: bool,
        topics: &mut BagTopics<'_>,
    ) -> Result<Self, BagError> {
        let mut source = Source::of(path, is_packed)?;
        let sqlite = |error| BagError::Sqlite {
            path: path.to_owned(),
            after_message: 0,
            resumed_after: None,
            source: error,
        };
        let db = source.connect().map_err(sqlite)?;
        let tables = tables(&db).map_err(sqlite)?;
        if let Some(missing) = ["topics", "messages"].iter().find(|t| !tables.contains(**t)) {
            let reason = format!("it has no table `{missing}`");
            return Err(BagError::NotRosbag2 { path: path.to_owned(), reason });
        }
        let definitions = match tables.contains("message_definitions") {
            true => definitions(&db).map_err(sqlite)?,
            // Older than rosbag2 of Iron.
            false => HashMap::new(),
        };
        let rows = topic_rows(&db).map_err(sqlite)?;
        let recorded: HashMap<i64, Recorded> = rows
            .iter()
            .filter_map(|row| {
                let definition = definitions.get(&row.type_name);
                let recorded = topics.recorded(Channel {
                    topic: &row.name,
                    type_name: &row.type_name,
                    message_encoding: &row.encoding,
                    definition: definition.map(|(encoding, text)| (&**encoding, text.as_bytes())),
                });
                Some((row.id, recorded?))
            })
            .collect();
        let ids: Vec<String> = recorded.keys().map(i64::to_string).collect();
        let query = format!(
            "SELECT id, topic_id, timestamp, data FROM messages WHERE id > ?1 AND topic_id IN ({}) \
             ORDER BY id",
            ids.join(", ")
        );
        // Where the end can't be read, progress is not shown.
        let max_id = db.query_row("SELECT max(id) FROM messages", [], |row| row.get(0));
        let mut pending = VecDeque::new();
        let path = path.to_owned();
        if let Some((at_bytes, source)) = source.take_damage() {
            pending.push_back(BagError::Read { path: path.clone(), at_bytes, source });
        } else if let Some(size_bytes) = source.cut_at_bytes() {
            let path = path.clone();
            pending.push_back(BagError::Truncated { path, size_bytes, last_message_at: None });
        }
        Ok(Self {
            path,
            db,
            ended: recorded.is_empty(),
            topics: recorded,
            unpacker: Unpacker::new(),
            query,
            last_id: i64::MIN,
            max_id: max_id.unwrap_or_default(),
            ready: VecDeque::new(),
            pending,
            damages: 0,
            source,
        })
    }

    /// How much of it is read, from 0 to 1.
    pub(super) fn part_read(&self) -> f64 {
        if self.max_id <= 0 {
            return 0.0;
        }
        (self.last_id.max(0) as f64 / self.max_id as f64).min(1.0)
    }

    /// The next message that is recorded; `None` at the end. After an error it may go on.
    pub(super) fn next(&mut self) -> Result<Option<BagMessage>, BagError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if let Some(error) = self.pending.pop_front() {
                return Err(error);
            }
            if self.ended {
                return Ok(None);
            }
            if let Err(error) = self.read_page() {
                self.pass(error);
            }
        }
    }

    /// Reads on until enough is ready, or to the end.
    fn read_page(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(&self.query)?;
        let mut rows = statement.query([self.last_id])?;
        let mut bytes = 0;
        while bytes < PAGE_BYTES && self.ready.len() < PAGE_MESSAGES {
            let Some(row) = rows.next()? else {
                self.ended = true;
                return Ok(());
            };
            if !is_in_order(row, self.last_id) {
                let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                return Err(rusqlite::Error::SqliteFailure(corrupt, None));
            }
            let (id, topic, log_time): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let data = row.get_ref(3)?.as_blob()?;
            self.last_id = id;
            let Some(Recorded { number, plan }) = self.topics.get(&topic).cloned() else {
                continue;
            };
            let cdr = self.unpacker.unpack(data.to_owned());
            bytes += cdr.len();
            self.ready.push_back(BagMessage { topic: number, plan, log_time: Some(log_time), cdr });
        }
        Ok(())
    }

    /// Goes on behind a damaged part, if what is behind can be read.
    fn pass(&mut self, source: rusqlite::Error) {
        self.damages += 1;
        let after_message = self.last_id.max(0);
        // What can't be asked can't be read either.
        let resumed_after = match self.damages < MAX_DAMAGES {
            true => self.readable_behind(after_message).unwrap_or_default(),
            false => None,
        };
        match resumed_after {
            Some(id) => self.last_id = id,
            None => self.ended = true,
        }
        // Where the file was found to be cut off, that is what was told.
        if self.source.cut_at_bytes().is_none() {
            let path = self.path.clone();
            let error = BagError::Sqlite { path, after_message, resumed_after, source };
            self.pending.push_back(error);
        }
    }

    /// The nearest number behind which there is a message that can be read.
    fn readable_behind(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.db.prepare(&self.query)?;
        for id in (1..=MAX_SKIPPED).map(|skipped| id.saturating_add(skipped)) {
            let mut rows = statement.query([id])?;
            match rows.next() {
                Ok(None) => return Ok(None),
                Ok(Some(row)) if is_in_order(row, id) => return Ok(Some(id)),
                Ok(Some(_)) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// Whether a row is one behind `id`; where the file is damaged, it may be anything.
fn is_in_order(row: &Row<'_>, id: i64) -> bool {
    let is_message = row.get_ref(3).is_ok_and(|data| data.as_blob().is_ok());
    is_message && row.get::<_, i64>(0).is_ok_and(|next| next > id)
}

fn tables(db: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut statement = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

/// By type, the language of its definition and the text.
fn definitions(db: &Connection) -> rusqlite::Result<HashMap<String, (String, String)>> {
    let mut statement = db.prepare(
        "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

fn topic_rows(db: &Connection) -> rusqlite::Result<Vec<TopicRow>> {
    let mut statement =
        db.prepare("SELECT id, name, type, serialization_format FROM topics ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let (id, name) = (row.get(0)?, row.get(1)?);
        Ok(TopicRow { id, name, type_name: row.get(2)?, encoding: row.get(3)? })
    })?;
    rows.collect()
}
