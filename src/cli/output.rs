//! Where a command's data goes: stdout, or a file that is whole or not there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mldash_bridge::track::{Export, Format, TrackError};
use serde::Serialize;

use super::Failure;

/// Where rows go; of every command that writes rows.
#[derive(Debug, Args)]
pub(crate) struct RowsArgs {
    /// In JSON, write null for NaN and infinities instead of Python's tokens.
    #[arg(long)]
    strict: bool,
    /// Write to this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl RowsArgs {
    /// What is asked for, else what the file's name says, else the first of `known`.
    pub(crate) fn format(
        &self,
        asked: Option<Format>,
        known: &[Format],
    ) -> Result<Format, Failure> {
        let extension = self.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
        let by_name = || known.iter().find(|format| Some(format.name()) == extension);
        let format = asked.or_else(|| by_name().or(known.first()).copied());
        let format = format.unwrap_or(Format::Json);
        if self.is_for_a_terminal() && !format.is_text() {
            let reason =
                format!("{format} is not for a terminal; name a file with -o or use a pipe");
            return Err(Failure::Usage(reason.into()));
        }
        Ok(format)
    }

    /// Hands `write` the way out.
    pub(crate) fn write(
        &self,
        format: Format,
        write: impl FnOnce(Export, &mut (dyn Write + Send)) -> Result<(), TrackError>,
    ) -> Result<(), Failure> {
        let mut export = Export::from(format);
        if self.strict {
            export = export.strict();
        }
        write_to(self.output.as_deref(), |out| {
            write(export, out)?;
            // A prompt should not stand behind the last row; a file stays as the format has it.
            if self.is_for_a_terminal() {
                writeln!(out)?;
            }
            Ok(())
        })
    }

    fn is_for_a_terminal(&self) -> bool {
        self.output.is_none() && stdout().is_terminal()
    }
}

/// Takes the names of `known`.
pub(crate) fn formats(known: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(known.iter().map(|format| format.name()))
        .try_map(|name| name.parse::<Format>())
}

/// Hands `write` the file `path`, or stdout without one. A file appears under its name only once
/// it is complete.
pub(crate) fn write_to(
    path: Option<&Path>,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut out = BufWriter::new(stdout());
        write(&mut out)?;
        return Ok(out.flush()?);
    };
    let named = |action: &'static str| {
        move |error: io::Error| {
            Failure::Failed(format!("can't {action} {}: {error}", path.display()).into())
        }
    };
    let partial = path.with_added_extension("partial");
    let mut out = BufWriter::new(File::create(&partial).map_err(named("create"))?);
    let written = write(&mut out)
        .and_then(|()| out.flush().map_err(named("write")))
        .and_then(|()| fs::rename(&partial, path).map_err(named("write")));
    written.inspect_err(|_| {
        // Half a file under any name would only mislead.
        let _ = fs::remove_file(&partial);
    })
}

/// Writes a value as JSON, or with `print` as people read it.
pub(crate) fn write_report(
    report: &impl Serialize,
    as_json: bool,
    out: impl Write,
    print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    if as_json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        print(&mut out)?;
    }
    out.flush()
}

/// Stdout for this program's data alone: what libraries print there from now on, as Fast DDS does
/// with its errors, goes to stderr.
pub(crate) fn reserve_stdout() -> io::Result<File> {
    let data = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(data.into())
}
