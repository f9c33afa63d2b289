//! The `mldash_bridge` program: parse, dispatch, exit code.

fn main() {}
