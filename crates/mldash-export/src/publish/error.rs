//! Why recordings can't be published.

use std::io;
use std::path::Path;

use mldash_track::TrackError;
use parquet::errors::ParquetError;

use super::schema::MAX_COLUMNS;
use crate::error::ExportError;

/// Why a recording can't be published. What counts on the store then still counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The URL is not one that this program publishes to.
    #[error(
        "`{url}` can't be published to: {reason}; write s3://BUCKET/PREFIX, gs://…, az://CONTAINER/PREFIX or file:///FOLDER"
    )]
    Url {
        /// As it was given, without what follows a `?`.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The store can't be set up.
    #[error(
        "can't set up the store {url}; its settings and credentials come from the environment ({variables})"
    )]
    Setup {
        /// The store.
        url: String,
        /// Which variables.
        variables: &'static str,
        /// Why.
        source: Box<object_store::Error>,
    },
    /// The store did not do what it was asked.
    #[error("{url}: can't {action} {name}{}{}", after(*tries), advice(source))]
    Store {
        /// The store.
        url: String,
        /// What was asked.
        action: &'static str,
        /// The object, below the prefix.
        name: String,
        /// How often.
        tries: u32,
        /// What it answered.
        source: Box<object_store::Error>,
    },
    /// The store ignores conditions, or has none.
    #[error(
        "{url} does not take conditional puts, so that two publishers at once could lose each other's rows; if only one \
         program publishes there at a time, say so with `--single-writer`"
    )]
    Unconditional {
        /// The store.
        url: String,
    },
    /// An object that only publishers write is not what they write.
    #[error(
        "{url}: {name} is damaged; restore it, or remove it and publish its experiment again after `publish --vacuum`"
    )]
    Damaged {
        /// The store.
        url: String,
        /// The object.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer program publishes there.
    #[error("{url}: {name} has format {format}, which is newer than this program; update it")]
    Newer {
        /// The store.
        url: String,
        /// The object.
        name: String,
        /// Its format.
        format: u32,
    },
    /// Others changed the same experiment again and again.
    #[error(
        "{experiment} is published from elsewhere at the same time, with other rows; try again once that has ended"
    )]
    Contended {
        /// The experiment.
        experiment: String,
    },
    /// Others extended the columns of the same topic again and again.
    #[error("others add columns to topic `{topic}` all the time; try again once they have ended")]
    ContendedTopic {
        /// The topic.
        topic: String,
    },
    /// A topic would get more columns than can be written.
    #[error(
        "topic `{topic}` would have {columns} columns, with those of other experiments on the store; {MAX_COLUMNS} can be written; \
         nothing of this experiment is published: record its columns as lists or in topics of their own, or publish to another prefix"
    )]
    TooManyColumns {
        /// The topic.
        topic: String,
        /// How many.
        columns: usize,
    },
    /// Rows were added or merged while they were read.
    #[error(
        "{experiment} has changed since its publication began; publish it again once nobody writes it"
    )]
    Changed {
        /// The experiment.
        experiment: String,
    },
    /// Parquet can't be written, or not be read back.
    #[error("can't read or write the rows of {name} as Parquet")]
    Parquet {
        /// The object.
        name: String,
        /// Why.
        source: ParquetError,
    },
    /// What is common to exports: the recording, or a local file, can't be read or written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// There is no thread or runtime to work on.
    #[error("can't start the publisher")]
    Start(#[source] io::Error),
    /// A bug.
    #[error("the publisher panicked, which is a bug: {0}")]
    Panicked(String),
    /// Somebody stopped it.
    #[error("stopped; what is published stays, and the next call goes on from there")]
    Stopped,
}

fn after(tries: u32) -> String {
    if tries > 1 { format!(" after {tries} tries") } else { String::new() }
}

/// Where clients of the clouds ask for a machine's own credentials when the environment has none.
const OF_THE_MACHINE: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// What to do about an answer, where more is known than the answer says.
fn advice(answer: &object_store::Error) -> &'static str {
    use object_store::Error;
    match answer {
        Error::Unauthenticated { .. } => {
            "; the credentials in the environment are not accepted: check them, and the region"
        }
        Error::PermissionDenied { .. } => {
            "; the credentials in the environment may not do that: publishing lists, reads, puts and deletes"
        }
        _ if OF_THE_MACHINE.iter().any(|place| answer.to_string().contains(place)) => {
            "; there are no credentials in the environment, and this machine has none of its own: set them, such as \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_ACCOUNT_KEY"
        }
        _ => "",
    }
}

impl PublishError {
    /// Returns true if the command line is wrong rather than a recording, the store or the network.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Url { .. } => true,
            Self::Export(error) => error.is_usage(),
            _ => false,
        }
    }

    /// For `map_err` of reading a recording.
    pub(super) fn track(experiment: &str) -> impl FnOnce(TrackError) -> Self {
        let error = ExportError::track(experiment);
        move |source| error(source).into()
    }

    /// For `map_err` of file operations.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let error = ExportError::io(action, path);
        move |source| error(source).into()
    }

    /// For `map_err` of Parquet's functions.
    pub(super) fn parquet<E: Into<ParquetError>>(name: &str) -> impl FnOnce(E) -> Self {
        let name = name.to_owned();
        move |source| Self::Parquet { name, source: source.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_credentials_it_is_said_which_to_set() {
        let told = |source: &str| {
            let source = object_store::Error::Generic { store: "S3", source: source.into() };
            let (url, name) = ("s3://lake/fleet".to_owned(), "_mldash.json".to_owned());
            PublishError::Store { url, action: "read", name, tries: 8, source: source.into() }
                .to_string()
        };
        let nobody = told("Error performing PUT http://169.254.169.254/latest/api/token in 1s");
        assert!(nobody.starts_with(
            "s3://lake/fleet: can't read _mldash.json after 8 tries; there are no credentials"
        ));
        assert!(nobody.contains("AWS_ACCESS_KEY_ID"));
        assert_eq!(told("reset"), "s3://lake/fleet: can't read _mldash.json after 8 tries");
    }
}
