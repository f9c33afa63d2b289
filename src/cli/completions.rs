//! `mldash_bridge completions` and `mldash_bridge man`: what a shell and `man` know of the commands.

use std::io::{self, Write, stdout};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::Failure;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write the pages into; it must exist.
    folder: PathBuf,
}

/// Prints the completions of `command` for a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    Ok(stdout().write_all(&script)?)
}

/// Writes a man page for `command` and each of its subcommands.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<(), Failure> {
    let folder = &args.folder;
    let cant = |error: io::Error| {
        Failure::failed(format!("can't write man pages into {}: {error}", folder.display()))
    };
    clap_mangen::generate_to(command.disable_help_subcommand(true), folder).map_err(cant)
}
