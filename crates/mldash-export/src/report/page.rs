//! The page: one file that opens from a mail and asks nobody for anything. What can be said in words is in the page itself,
//! also where scripts do not run; numbers are in a document of JSON, which the page's script draws. Everything variable is
//! escaped by the template, and a Content-Security-Policy lets only our script run.

mod words;

use std::io::{self, Write};

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Report;
use super::axis::Axis;
use super::document::Document;
use crate::error::ExportError;
use words::{ExperimentWords, TopicWords};

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    /// Hashes of the script and the style: nothing else is let in.
    script_hash: String,
    style_hash: String,
    style: &'a str,
    script: &'a str,
    /// JSON that can stand in a script element.
    document: String,
    axis_text: &'static str,
    experiments: Vec<ExperimentWords<'a>>,
    topics: Vec<TopicWords<'a>>,
    program: &'static str,
}

/// Writes the page of a report.
///
/// # Errors
/// Fails if `out` can't be written.
pub fn write_page(report: &Report, out: &mut dyn Write) -> Result<(), ExportError> {
    let document = serde_json::to_string(&Document::of(report)).map_err(io::Error::from);
    let written = document.and_then(|document| {
        let page = Page::of(report, &document).render().map_err(io::Error::other)?;
        out.write_all(page.as_bytes())
    });
    written.map_err(ExportError::Page)
}

impl<'a> Page<'a> {
    fn of(report: &'a Report, document: &str) -> Self {
        let axis = Axis::of(&report.experiments);
        let experiments = report.experiments.iter().zip(&report.warnings);
        let names: Vec<&str> = report.experiments.iter().map(|one| one.name.as_str()).collect();
        Self {
            title: names.join(", "),
            script_hash: hash(SCRIPT),
            style_hash: hash(STYLE),
            style: STYLE,
            script: SCRIPT,
            document: for_script(document),
            axis_text: match (axis.base, axis.is_absolute()) {
                (Some(_), _) => "Times are UTC, by the rows' stamps.",
                (None, true) => {
                    "Times are minutes and seconds since the first row; its clock shows no date."
                }
                (None, false) => "Each experiment begins at 0:00.",
            },
            experiments: experiments
                .map(|(one, warnings)| ExperimentWords::of(one, warnings, axis))
                .collect(),
            topics: words::topics(&report.experiments),
            program: concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")),
        }
    }
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// JSON in which no text can end the script element that it stands in, or begin a comment there.
fn for_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_that_it_stands_in() {
        let json = serde_json::to_string("</script><!--<script>&amp;").unwrap();
        let safe = for_script(&json);
        assert!(!safe.contains(['<', '>', '&']), "{safe}");
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "</script><!--<script>&amp;");
    }

    #[test]
    fn the_script_and_the_style_can_stand_in_a_page() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
        for text in [SCRIPT, STYLE] {
            assert!(!text.contains("://"), "the page asks nobody for anything");
            assert!(!text.contains('\r'), "a parser of HTML would change it, and with it its hash");
        }
        assert!(SCRIPT.lines().count() < 600, "a small script of our own, or a library");
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(way), "{way} lets texts become markup");
        }
    }
}
