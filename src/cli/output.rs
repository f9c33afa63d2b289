//! The output of a command: rows in a format, or a report.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mldash_bridge::track::{Export, Format, TrackError};
use serde::Serialize;

use super::Failure;
use super::target::{IfThere, is_stdout, write_to};

/// Where rows go, for every command that writes rows.
#[derive(Debug, Args)]
pub(crate) struct RowsArgs {
    /// In JSON, write null for NaN and infinities instead of Python's tokens.
    #[arg(long)]
    strict: bool,
    /// Write to this file instead of stdout; `-` is stdout. A file appears once it is complete; a device, a
    /// FIFO or a socket is written to.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl RowsArgs {
    /// The requested format, else the one of the file's extension. For stdout and a name without an
    /// extension, the first of `known`.
    pub(crate) fn format(
        &self,
        asked: Option<Format>,
        known: &[Format],
    ) -> Result<Format, Failure> {
        let file = self.output.as_deref().filter(|file| !is_stdout(Some(file)));
        let by_name = file.map_or(Ok(None), |file| format_of(file, asked, known));
        let format = asked.or(by_name.map_err(Failure::usage)?);
        let format = format.or(known.first().copied()).unwrap_or(Format::Json);
        if self.is_for_a_terminal() && !format.is_text() {
            let reason =
                format!("{format} is not for a terminal; name a file with -o or use a pipe");
            return Err(Failure::usage(reason));
        }
        Ok(format)
    }

    /// Calls `write` with the output.
    pub(crate) fn write(
        &self,
        format: Format,
        write: impl FnOnce(Export, &mut (dyn Write + Send)) -> Result<(), TrackError>,
    ) -> Result<(), Failure> {
        let mut export = Export::from(format);
        if self.strict {
            export = export.strict();
        }
        write_to(self.output.as_deref(), IfThere::Replace, |out| {
            let mut out = LastByte { out, last: None };
            write(export, &mut out)?;
            // ML-Dash joins rows by newlines. A file of lines should also end with one, and a
            // prompt should not follow the last row.
            let ends_a_line = format == Format::Jsonl || self.is_for_a_terminal();
            if ends_a_line && out.last.is_some_and(|last| last != b'\n') {
                writeln!(out)?;
            }
            Ok(())
        })
    }

    fn is_for_a_terminal(&self) -> bool {
        is_stdout(self.output.as_deref()) && stdout().is_terminal()
    }
}

/// The format that a file's name says; `None` for a name without an extension.
fn format_of(
    file: &Path,
    asked: Option<Format>,
    known: &[Format],
) -> Result<Option<Format>, String> {
    let Some(extension) = file.extension() else {
        return Ok(None);
    };
    let extension = extension.to_str().unwrap_or_default();
    let says =
        |format: &Format| format.extensions().iter().any(|e| extension.eq_ignore_ascii_case(e));
    let name = file.display();
    match (asked, Format::ALL.iter().find(|format| says(format))) {
        (Some(asked), Some(_)) if says(&asked) => Ok(Some(asked)),
        (Some(asked), Some(said)) => Err(format!(
            "`{name}` is called {said} and `--format` says {asked}; change one of them"
        )),
        (Some(asked), None) => Ok(Some(asked)),
        (None, Some(said)) if known.contains(said) => Ok(Some(*said)),
        (None, said) => {
            let known: Vec<String> = known.iter().map(|format| format!(".{format}")).collect();
            let problem = match said {
                Some(said) => format!("this command does not write {said}, as `{name}` is called"),
                None => format!("`{name}` does not say in which format; say it with `--format`"),
            };
            Err(format!("{problem}, or call it {}", known.join(", ")))
        }
    }
}

/// Parses the name of one of the `known` formats.
pub(crate) fn formats(known: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(known.iter().map(|format| format.name()))
        .try_map(|name| name.parse::<Format>())
}

/// Writes a value as JSON, or with `print` in readable form.
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

/// Remembers the last byte that was written.
struct LastByte<'a> {
    out: &'a mut (dyn Write + Send),
    last: Option<u8>,
}

impl Write for LastByte<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.last = bytes.get(..written).and_then(<[u8]>::last).copied().or(self.last);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reserves stdout for this program's data. What libraries print there from now on, such as Fast
/// DDS's errors, goes to stderr.
pub(crate) fn reserve_stdout() -> io::Result<File> {
    let data = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(data.into())
}
