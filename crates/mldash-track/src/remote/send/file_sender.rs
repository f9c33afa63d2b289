//! Sends a file.

use std::io;

use super::http::Api;
use super::session::{FileUpload, Session};
use crate::remote::error::{CallError, Fault};
use crate::remote::state::QueuedFile;

/// The result of sending a file.
#[derive(Debug)]
pub(crate) enum FileOutcome {
    /// The server has it; its size in bytes.
    Sent(u64),
    /// The server refused it.
    Refused(String),
    /// It no longer exists: deleted or saved over.
    Gone,
    /// Retry it.
    Failed(CallError),
}

/// Sends a file into the folder with this node id.
pub(crate) async fn send_file(
    api: &Api,
    session: &Session,
    parent_id: &str,
    file: &QueuedFile,
) -> FileOutcome {
    let data = match tokio::fs::File::open(&file.path).await {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!("not uploaded: {} was deleted or replaced first", file.path.display());
            return FileOutcome::Gone;
        }
        Err(error) => return FileOutcome::Failed(CallError::new(Fault::Server, error.to_string())),
    };
    let about = file.about.as_deref();
    let upload = FileUpload {
        parent_id,
        name: &file.name,
        content_type: &file.content_type,
        checksum: &file.checksum,
        size_bytes: file.size_bytes,
        description: about.and_then(|about| about.description.as_deref()),
        tags: about.map(|about| about.tags.as_slice()).unwrap_or_default(),
        metadata: about.and_then(|about| about.metadata.as_ref()),
    };
    match session.save_file(api, &upload, data.into()).await {
        Ok(()) => FileOutcome::Sent(file.size_bytes),
        Err(error) => FileOutcome::of(error),
    }
}

impl FileOutcome {
    /// The result that an error means for a file.
    pub(crate) fn of(error: CallError) -> Self {
        match error.fault {
            Fault::Refused | Fault::TooLarge => Self::Refused(error.text),
            _ => Self::Failed(error),
        }
    }
}
