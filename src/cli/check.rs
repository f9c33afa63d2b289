//! `mldash_bridge check`: says what is wrong with a mapping before a robot depends on it.

use std::path::PathBuf;

use clap::Args;
use mldash_bridge::mapping::Mapping;

use super::Failure;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The mapping's file (YAML).
    mapping: PathBuf,
}

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let mapping = Mapping::load(&args.mapping)?;
    let entries = mapping.rules().len();
    let plural = if entries == 1 { "y" } else { "ies" };
    eprintln!("{}: ok, {entries} topic entr{plural}", args.mapping.display());
    Ok(())
}
