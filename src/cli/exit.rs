//! How the program ends: the one place that turns errors into messages and exit codes.

use std::error::Error;
use std::io;

use mldash_bridge::export::ExportError;
use mldash_bridge::export::publish::PublishError;
use mldash_bridge::export::publish::compact::CompactError;
use mldash_bridge::record::yaml::YamlErrors;
use mldash_bridge::ros::RosError;
use mldash_bridge::track::{AlignError, CloseError, RemoteError, TrackError};

/// The program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything asked for was done.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line, the mapping or a name is wrong; nothing was written.
    Usage = 2,
    /// The command is done, but something that was asked for is missing: refused, undecodable,
    /// dropped, lost.
    Missing = 3,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why a subcommand failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1.
    Failed(Box<dyn Error + Send + Sync>),
    /// Exit code 2.
    Usage(Box<dyn Error + Send + Sync>),
    /// Nobody reads stdout any more (`… | head`). This is a normal end.
    OutputClosed,
}

impl Failure {
    pub(crate) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

    fn by(is_usage: bool, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if is_usage { Self::usage(error) } else { Self::failed(error) }
    }
}

impl From<TrackError> for Failure {
    fn from(error: TrackError) -> Self {
        match error {
            TrackError::Export(source) if source.kind() == io::ErrorKind::BrokenPipe => {
                Self::OutputClosed
            }
            TrackError::Name(_)
            | TrackError::Environment(_)
            | TrackError::Remote(RemoteError::Url { .. })
            | TrackError::Align(
                AlignError::Twice(_)
                | AlignError::ColumnTwice { .. }
                | AlignError::Tolerance(_)
                | AlignError::Rate(_)
                | AlignError::NothingToJoin,
            ) => Self::Usage(error.into()),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Output(error) => error.into(),
            error => Self::by(error.is_usage(), error),
        }
    }
}

impl From<CompactError> for Failure {
    fn from(error: CompactError) -> Self {
        Self::by(error.is_usage(), error)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::by(error.is_usage(), error)
    }
}

impl From<CloseError> for Failure {
    fn from(error: CloseError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<YamlErrors> for Failure {
    fn from(errors: YamlErrors) -> Self {
        Self::Usage(errors.into())
    }
}

impl From<RosError> for Failure {
    fn from(error: RosError) -> Self {
        match error {
            RosError::NotSourced { .. } | RosError::Parameter { .. } => Self::Usage(error.into()),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(error.into()),
        }
    }
}

/// Prints the error with all its causes on stderr.
pub(crate) fn report(failure: Failure) -> ExitCode {
    let (code, error) = match failure {
        Failure::Failed(error) => (ExitCode::Failed, error),
        Failure::Usage(error) => (ExitCode::Usage, error),
        Failure::OutputClosed => return ExitCode::Done,
    };
    eprintln!("mldash_bridge: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    code
}

/// Prints clap's message, which may be the requested help or version.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    // If the terminal is gone, there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done }
}
