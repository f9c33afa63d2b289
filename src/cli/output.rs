//! Where a command's data goes: stdout, or a file that is whole or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write, stdout};
use std::path::Path;

use super::Failure;

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
