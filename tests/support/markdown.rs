//! Pages of the documentation: README and those in docs, their fenced blocks and what they say of commands.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};

/// A page, by its path from the root.
pub struct Page {
    pub name: String,
    pub text: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence: `sh`, `yaml`.
    pub kind: String,
    pub text: String,
    /// The line of the fence, from 1.
    pub line: usize,
    /// The comment in the line above the fence: `<!-- not run: needs a robot -->`.
    pub comment: Option<String>,
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, ARCHITECTURE, CONTRIBUTING and the pages in docs.
pub fn pages() -> Vec<Page> {
    let mut names: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned).into();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    assert!(names.len() > 15, "{names:?}");
    let page = |name: String| {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        Page { name, text }
    };
    names.into_iter().map(page).collect()
}

impl Page {
    /// Its fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut before = "";
        for (i, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(kind), None) => {
                    let comment = before.strip_prefix("<!-- ").and_then(|c| c.strip_suffix(" -->"));
                    open = Some(Block {
                        kind: kind.to_owned(),
                        text: String::new(),
                        line: i + 1,
                        comment: comment.map(str::to_owned),
                    });
                }
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
            before = line;
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name);
        blocks
    }

    /// What stands in backticks outside of fenced blocks, with its line; a span may go on in the next line.
    pub fn code_spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        let mut is_fenced = false;
        let mut open: Option<(usize, String)> = None;
        for (i, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
                continue;
            }
            if is_fenced {
                continue;
            }
            if line.is_empty() {
                open = None;
            }
            for (part, text) in line.split('`').enumerate() {
                if part > 0 {
                    match open.take() {
                        Some(span) => spans.push(span),
                        None => open = Some((i + 1, String::new())),
                    }
                }
                if let Some((_, span)) = &mut open {
                    span.push_str(text);
                }
            }
            if let Some((_, span)) = &mut open {
                span.push(' ');
            }
        }
        spans
    }
}

impl Block {
    /// Its commands: in `sh` all lines, a line that ends in `\` with the next one; in `console` those behind `$ `.
    pub fn commands(&self) -> Vec<String> {
        let text = self.text.replace("\\\n", " ");
        let lines = text.lines().filter_map(|line| match self.kind.as_str() {
            "sh" => Some(line),
            "console" => line.strip_prefix("$ "),
            _ => None,
        });
        lines.map(str::to_owned).collect()
    }

    /// Why it is not run, if it says so.
    pub fn not_run(&self) -> Option<&str> {
        self.comment.as_deref()?.strip_prefix("not run: ")
    }
}

/// A file of the repository.
pub fn source(path: &str) -> PathBuf {
    root().join(path)
}
