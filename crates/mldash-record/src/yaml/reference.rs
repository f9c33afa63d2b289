//! A table of keys as a page of Markdown, for people.

use std::fmt::Write;

use super::key::{Key, KeyTable};

impl KeyTable {
    /// The page: a heading, `intro`, and a section for each table.
    pub fn reference(&'static self, title: &str, intro: &str) -> String {
        let mut page = format!("# {title}\n\n{intro}");
        for table in self.with_inner() {
            // Writing into a text does not fail.
            let _ = write!(page, "\n## {}\n\n{}\n\n", table.name, table.about);
            page += "| key | value | default | what it does |\n|---|---|---|---|\n";
            for key in table.keys {
                page += &line(key);
            }
        }
        page
    }
}

fn line(key: &Key) -> String {
    let Key { name, value, example, about, .. } = key;
    let default = match key.default {
        Some(default) => format!("`{default}`"),
        None if key.is_required => "*required*".to_owned(),
        None => String::new(),
    };
    // A bar would end the cell.
    let about = about.replace('|', "\\|");
    format!("| `{name}` | {value} | {default} | {about}<br>`{name}: {example}` |\n")
}
