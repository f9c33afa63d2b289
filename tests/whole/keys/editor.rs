//! What an editor says of YAML by a schema: a validator by others.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::source;
use crate::program::program;
use crate::python::schema_python;

/// An editor that knows a schema.
pub struct Editor {
    schema: Value,
}

impl Editor {
    /// With this schema.
    pub fn of(schema: &Value) -> Self {
        Self { schema: schema.clone() }
    }

    /// With what `mldash_bridge schema` says of files of a kind.
    pub fn of_kind(kind: &str) -> Self {
        let done = program(["schema", kind]).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        Self { schema: serde_json::from_slice(&done.stdout).unwrap() }
    }

    /// For each text, the first thing that is wrong with it.
    pub fn wrong_with(&self, texts: &[String]) -> Vec<Option<String>> {
        let asked = json!({"schema": self.schema, "texts": texts}).to_string();
        let mut python = Command::new(schema_python())
            .arg(source("tests/oracles/editor.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It reads all before it writes.
        python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        let done = python.wait_with_output().unwrap();
        assert!(done.status.success(), "editor.py failed");
        let told: Vec<Option<String>> = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(told.len(), texts.len());
        told
    }
}
