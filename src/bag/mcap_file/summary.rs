//! The summary at the end of an MCAP file.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use mcap::sans_io::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use mcap::{McapResult, Summary};

use super::records::MAX_RECORD_BYTES;

/// The summary of a file that has one and can be read at any place.
pub(super) fn read(path: &Path) -> Option<Summary> {
    let read = || -> McapResult<Option<Summary>> {
        let mut file = File::open(path)?;
        let options = SummaryReaderOptions::default().with_record_length_limit(MAX_RECORD_BYTES);
        let mut reader = SummaryReader::new_with_options(options);
        while let Some(event) = reader.next_event() {
            match event? {
                SummaryReadEvent::ReadRequest(bytes) => {
                    let read = file.read(reader.insert(bytes))?;
                    reader.notify_read(read);
                }
                SummaryReadEvent::SeekRequest(to) => reader.notify_seeked(file.seek(to)?),
            }
        }
        Ok(reader.finish())
    };
    // Without it, what it could have said is told as missing.
    read().ok().flatten()
}
