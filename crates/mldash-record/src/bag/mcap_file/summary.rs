//! The summary at the end of an MCAP file, which repeats its definitions and its statistics.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::Path;

use mcap::MAGIC;
use mcap::records::{Record, op};

use super::records::{Head, Next, Records, is_definition};

/// The footer's record and the magic bytes after it.
const END_BYTES: i64 = 1 + 8 + (8 + 8 + 4) + 8;

/// Passes the schemas and channels of a file's summary to `take`; none if it has no summary.
pub(super) fn definitions(path: &Path, mut take: impl FnMut(u8, &[u8])) {
    let read = each_record(path, |records, head| {
        if is_definition(head.op) {
            if let Ok(content) = records.definition(head)? {
                take(head.op, &content);
            }
            return Ok(true);
        }
        records.skip(head.len)
    });
    // What it could have defined is reported as missing.
    if let Err(error) = read {
        tracing::debug!("the summary of {} can't be read: {error}", path.display());
    }
}

/// The log time of the first message, in nanoseconds since the epoch; `None` if the file does not
/// say.
pub(in crate::bag) fn start(path: &Path) -> Option<u64> {
    let mut start = None;
    let read = each_record(path, |records, head| {
        if head.op != op::STATISTICS {
            return records.skip(head.len);
        }
        if let Ok(content) = records.definition(head)?
            && let Ok(Record::Statistics(said)) = mcap::parse_record(head.op, &content)
        {
            start = (said.message_count > 0).then_some(said.message_start_time);
        }
        Ok(false)
    });
    read.ok().and(start)
}

/// Goes through the records of the summary until `take` returns false.
fn each_record(
    path: &Path,
    mut take: impl FnMut(&mut Records<BufReader<File>>, Head) -> io::Result<bool>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(-END_BYTES))?;
    let mut footer = Records::new(BufReader::new(file), 0);
    let summary_start = match footer.next()? {
        Next::Record(Head { op: op::FOOTER, .. }) => footer.content(8)?,
        _ => None,
    };
    let Some(bytes) = summary_start else { return Ok(()) };
    let start = bytes.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit));
    if !(MAGIC.len() as u64..end).contains(&start) {
        return Ok(());
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut records = Records::new(BufReader::new(file), start);
    while let Next::Record(head) = records.next()? {
        if head.op == op::FOOTER || !take(&mut records, head)? {
            return Ok(());
        }
    }
    Ok(())
}
