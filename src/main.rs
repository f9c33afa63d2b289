//! The `mldash_bridge` program: parse, dispatch, exit code.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os()).into()
}
