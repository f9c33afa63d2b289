//! Reads one `.db3` file of rosbag2 in the order in which its messages were written, in bounded
//! parts. SQLite has no checksums: damage shows where it breaks the structure, but not within the
//! bytes of a message.

mod source;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::error::BagError;
use super::file::{BagMessage, MAX_MESSAGE_BYTES};
use super::packed::Unpacker;
use super::topics::{BagTopics, Channel, Met, Recorded};
use source::Source;

/// The size of a part.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_MESSAGES: usize = 1_000;

/// People write definitions.
const MAX_DEFINITION_BYTES: i64 = 16 << 20;

/// How many message numbers to try to get past a damaged part, and how many such parts.
const MAX_SKIPPED: i64 = 1 << 16;
const MAX_DAMAGES: usize = 64;

/// A bag while it is read.
pub(super) struct SqliteFile {
    path: PathBuf,
    db: Connection,
    /// By rosbag2's numbers.
    topics: HashMap<i64, Met>,
    unpacker: Unpacker,
    /// Selects the messages after one. Includes the data of recorded topics, unless it is too
    /// large.
    query: String,
    /// Messages of topics that the bag does not list.
    unknown_topics: u64,
    last_id: i64,
    /// The number of the last message, for progress.
    max_id: i64,
    /// Messages that were read and not passed on yet.
    ready: VecDeque<BagMessage>,
    /// Errors to report after those.
    pending: VecDeque<BagError>,
    damages: usize,
    ended: bool,
    /// Declared last: dropped after the connection that reads it.
    source: Source,
}

/// A row of the table `topics`.
struct TopicRow {
    id: i64,
    name: String,
    type_name: String,
    encoding: String,
    offered_qos: String,
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
        let mut pending = VecDeque::new();
        let definitions = match tables.contains("message_definitions") {
            // An unreadable definition does not affect the others, and may be in the workspace.
            true => definitions(&db).unwrap_or_else(|error| {
                pending.push_back(sqlite(error));
                HashMap::new()
            }),
            // The bag is older than rosbag2 of Iron.
            false => HashMap::new(),
        };
        let rows = topic_rows(&db).map_err(sqlite)?;
        let meet = |row: &TopicRow| {
            let definition = definitions.get(&row.type_name);
            let met = topics.meet(Channel {
                topic: &row.name,
                type_name: &row.type_name,
                message_encoding: &row.encoding,
                definition: definition.map(|(encoding, text)| (&**encoding, &**text)),
                offered_qos: &row.offered_qos,
            });
            (row.id, met)
        };
        let met: HashMap<i64, Met> = rows.iter().map(meet).collect();
        let recorded = met.iter().filter(|(_, met)| matches!(met, Met::Recorded(_)));
        let ids: Vec<String> = recorded.map(|(id, _)| id.to_string()).collect();
        let query = format!(
            "SELECT id, topic_id, timestamp, length(data), CASE WHEN topic_id IN ({}) AND length(data) <= \
             {MAX_MESSAGE_BYTES} THEN data END FROM messages WHERE id > ?1 ORDER BY id",
            ids.join(", ")
        );
        // If the end can't be read, no progress is shown.
        let max_id = db.query_row("SELECT max(id) FROM messages", [], |row| row.get(0));
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
            ended: false,
            topics: met,
            unknown_topics: 0,
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

    /// The part that was read, from 0 to 1.
    pub(super) fn part_read(&self) -> f64 {
        if self.max_id <= 0 {
            return 0.0;
        }
        (self.last_id.max(0) as f64 / self.max_id as f64).min(1.0)
    }

    /// The next message that is recorded; `None` at the end. After an error it may continue.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, BagError> {
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
            if let Err(error) = self.read_page(topics) {
                self.pass(error);
            }
            if self.ended {
                self.end();
            }
        }
    }

    /// Notes errors of the file as a whole.
    fn end(&mut self) {
        let path = || self.path.clone();
        if self.unknown_topics > 0 {
            let messages = self.unknown_topics;
            self.pending.push_back(BagError::UnknownChannels { path: path(), messages });
        }
        if self.source.has_changed() {
            self.pending.push_back(BagError::Changed { path: path() });
        }
    }

    /// Reads until enough messages are ready, or to the end.
    fn read_page(&mut self, topics: &mut BagTopics<'_>) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(&self.query)?;
        let mut rows = statement.query([self.last_id])?;
        let mut bytes = 0;
        while bytes < PAGE_BYTES && self.ready.len() < PAGE_MESSAGES {
            let Some(row) = rows.next()? else {
                self.ended = true;
                return Ok(());
            };
            if !is_in_order(row, self.last_id) {
                return Err(corrupt());
            }
            let (id, topic, log_time): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let data_bytes: Option<i64> = row.get(3)?;
            let data_bytes = data_bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
            let met = self.topics.get(&topic);
            let data = match (met, row.get_ref(4)?) {
                (Some(Met::Recorded(_)), ValueRef::Blob(data)) => data,
                // Damage can leave other values.
                (Some(Met::Recorded(_)), _) if data_bytes <= MAX_MESSAGE_BYTES => {
                    return Err(corrupt());
                }
                _ => &[],
            };
            self.last_id = id;
            match met {
                Some(Met::Recorded(Recorded { number, .. })) if data_bytes > MAX_MESSAGE_BYTES => {
                    topics.count_too_large(*number);
                }
                Some(Met::Recorded(Recorded { number, plan })) => {
                    let cdr = self.unpacker.unpack(data.to_owned());
                    bytes += cdr.len();
                    let (topic, plan, log_time) = (*number, plan.clone(), Some(log_time));
                    let send_time = None;
                    self.ready.push_back(BagMessage { topic, plan, log_time, send_time, cdr });
                }
                Some(Met::LeftOut(number)) => topics.count_left_out(*number, data_bytes),
                None => self.unknown_topics += 1,
            }
        }
        Ok(())
    }

    /// Continues after a damaged part, if what follows can be read.
    fn pass(&mut self, source: rusqlite::Error) {
        self.damages += 1;
        let after_message = self.last_id.max(0);
        // If this fails too, nothing more can be read.
        let resumed_after = match self.damages < MAX_DAMAGES {
            true => self.readable_behind(after_message).unwrap_or_default(),
            false => None,
        };
        match resumed_after {
            Some(id) => self.last_id = id,
            None => self.ended = true,
        }
        // If the file is cut off, that was reported instead.
        if self.source.cut_at_bytes().is_none() {
            let path = self.path.clone();
            let error = BagError::Sqlite { path, after_message, resumed_after, source };
            self.pending.push_back(error);
        }
    }

    /// The nearest number after which there is a readable message.
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

/// Returns true if a row comes after `id`. In a damaged file, rows can be anything.
fn is_in_order(row: &Row<'_>, id: i64) -> bool {
    row.get::<_, i64>(0).is_ok_and(|next| next > id)
}

fn corrupt() -> rusqlite::Error {
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(corrupt, None)
}

/// The log time of the first message, in nanoseconds; `None` if that needs a search.
pub(super) fn start(path: &Path) -> Option<i64> {
    let db = Source::at_rest(path)?.connect().ok()?;
    // Without rosbag2's index this would read the whole file.
    let index =
        "SELECT 1 FROM pragma_index_info('timestamp_idx') WHERE seqno = 0 AND name = 'timestamp'";
    db.query_row(index, [], |_| Ok(())).ok()?;
    db.query_row("SELECT min(timestamp) FROM messages", [], |row| row.get(0)).ok()
}

fn tables(db: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut statement = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names = statement.query_map([], |row| text(row, 0))?;
    names.collect()
}

/// By type: the language of its definition, and the text.
type DefinitionRows = HashMap<String, (String, Vec<u8>)>;

fn definitions(db: &Connection) -> rusqlite::Result<DefinitionRows> {
    let mut statement = db.prepare(
        "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions WHERE \
         length(encoded_message_definition) <= ?1",
    )?;
    let rows = statement.query_map([MAX_DEFINITION_BYTES], |row| {
        let definition = bytes(row, 2)?.to_owned();
        Ok((text(row, 0)?, (text(row, 1)?, definition)))
    })?;
    rows.collect()
}

fn topic_rows(db: &Connection) -> rusqlite::Result<Vec<TopicRow>> {
    let mut columns = db.prepare("SELECT name FROM pragma_table_info('topics')")?;
    let columns: HashSet<String> =
        columns.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // The first versions of rosbag2, of 2018, had no other.
    let encoding =
        if columns.contains("serialization_format") { "serialization_format" } else { "'cdr'" };
    let qos = if columns.contains("offered_qos_profiles") { "offered_qos_profiles" } else { "''" };
    let mut statement =
        db.prepare(&format!("SELECT id, name, type, {encoding}, {qos} FROM topics ORDER BY id"))?;
    let rows = statement.query_map([], |row| {
        let (name, type_name) = (text(row, 1)?, text(row, 2)?);
        // The rows are worth more than what is said of their publishers.
        let offered_qos = text(row, 4).unwrap_or_default();
        Ok(TopicRow { id: row.get(0)?, name, type_name, encoding: text(row, 3)?, offered_qos })
    })?;
    rows.collect()
}

/// A text, which may not be UTF-8.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(bytes(row, column)?).into_owned())
}

fn bytes<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    })
}
