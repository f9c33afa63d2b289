//! Files as the readers of others see them.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::python::oracle_python;

/// What a reader made of a file.
#[derive(Debug)]
pub struct Opened {
    /// What it says besides: format, mode, dtype, shape.
    pub facts: Value,
    /// The numbers, little-endian.
    pub data: Vec<u8>,
}

/// Opens files with Pillow, numpy or pypcd4.
pub fn open(paths: &[PathBuf]) -> Vec<Opened> {
    let opened = Command::new(oracle_python())
        // Not the packages of a ROS that is sourced.
        .env_remove("PYTHONPATH")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/open_files.py"))
        .args(paths)
        .output()
        .unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let lines = String::from_utf8(opened.stdout).unwrap();
    let files: Vec<Opened> = lines.lines().map(Opened::read).collect();
    assert_eq!(files.len(), paths.len());
    files
}

impl Opened {
    fn read(line: &str) -> Self {
        let mut facts: Value = serde_json::from_str(line).unwrap();
        let data = facts["data"].take();
        Self { facts, data: STANDARD.decode(data.as_str().unwrap()).unwrap() }
    }
}
