//! `mldash_bridge check`: says what is wrong with a mapping before a robot depends on it.

use std::path::PathBuf;

use clap::Args;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;

use super::Failure;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The mapping's file (YAML).
    mapping: PathBuf,
}

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let definitions = Definitions::from_environment();
    let (mapping, checked) = Mapping::load_checked(&args.mapping, &definitions)?;
    let entries = mapping.rules().len();
    let plural = if entries == 1 { "y" } else { "ies" };
    eprintln!("{}: ok, {entries} topic entr{plural}; {checked}", args.mapping.display());
    Ok(())
}
