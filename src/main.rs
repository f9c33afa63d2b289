//! The `mldash_bridge` program: parse, dispatch, exit code.

mod cli;
#[cfg(test)]
#[path = "../tests/support/markdown.rs"]
mod markdown;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os()).into()
}
