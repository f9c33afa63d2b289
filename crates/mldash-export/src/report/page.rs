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
use super::limits::MAX_PAGE_BYTES;
use crate::error::ExportError;
pub use words::size_text;
use words::{ExperimentWords, TopicWords};

/// The style of a page.
pub const STYLE: &str = include_str!("../../templates/report.css");
/// The script of a page, which draws.
pub const SCRIPT: &str = include_str!("../../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    /// What lets nothing in but our script and our style. A site says so in a header.
    policy: Option<String>,
    styles: Vec<&'a str>,
    scripts: Vec<&'a str>,
    /// JSON that can stand in a script element.
    document: String,
    /// Markup of the site above the report.
    top: &'a str,
    axis_text: &'static str,
    experiments: Vec<ExperimentWords<'a>>,
    topics: Vec<TopicWords<'a>>,
    program: &'static str,
}

/// What a site adds to a page that is part of it. The site's own `Content-Security-Policy` must let in, by their
/// [hashes](hash), [`STYLE`], [`SCRIPT`] and what is added here.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Markup above the report; it is inserted as it is.
    pub top: &'a str,
    /// A style, after the report's.
    pub style: &'a str,
    /// A script that runs after the report's.
    pub script: &'a str,
}

/// Writes the page of a report: one file that needs no other.
///
/// # Errors
/// Fails if the page would be too large to be opened, or `out` can't be written.
pub fn write_page(report: &Report, out: &mut dyn Write) -> Result<(), ExportError> {
    write(report, None, out)
}

/// Writes the page of a report as a part of a site.
///
/// # Errors
/// As [`write_page`].
pub fn write_page_of_site(
    report: &Report,
    site: Site<'_>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    write(report, Some(site), out)
}

fn write(report: &Report, site: Option<Site<'_>>, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut document = Bounded::new(ForScript(Vec::new()));
    let written = serde_json::to_writer(&mut document, &Document::of(report));
    written.map_err(|error| document.error(error.into()))?;
    let document = String::from_utf8(document.out.0)
        .map_err(|error| ExportError::Output(io::Error::other(error)))?;
    let mut out = Bounded::new(out);
    let written = Page::of(report, site, document).write_into(&mut out);
    written.map_err(|error| out.error(error))
}

/// Writes no more than a page may have.
struct Bounded<W> {
    out: W,
    left: usize,
    is_full: bool,
}

impl<W: Write> Bounded<W> {
    fn new(out: W) -> Self {
        Self { out, left: MAX_PAGE_BYTES, is_full: false }
    }

    fn error(&self, error: io::Error) -> ExportError {
        match self.is_full {
            true => ExportError::PageTooLarge { most: MAX_PAGE_BYTES },
            false => ExportError::Output(error),
        }
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// JSON in which no text can end the script element that it stands in, or begin a comment there.
struct ForScript(Vec<u8>);

impl Write for ForScript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            match byte {
                b'<' => self.0.extend_from_slice(b"\\u003c"),
                b'>' => self.0.extend_from_slice(b"\\u003e"),
                b'&' => self.0.extend_from_slice(b"\\u0026"),
                byte => self.0.push(*byte),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Page<'a> {
    fn of(report: &'a Report, site: Option<Site<'a>>, document: String) -> Self {
        let axis = Axis::of(&report.experiments);
        let experiments = report.experiments.iter().zip(&report.warnings);
        let names: Vec<&str> = report.experiments.iter().map(|one| one.name.as_str()).collect();
        Self {
            title: names.join(", "),
            policy: site.is_none().then(|| policy(SCRIPT, STYLE)),
            styles: [STYLE].into_iter().chain(site.map(|site| site.style)).collect(),
            scripts: [SCRIPT].into_iter().chain(site.map(|site| site.script)).collect(),
            document,
            top: site.map_or("", |site| site.top),
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

/// Lets nothing in but this script and this style.
fn policy(script: &str, style: &str) -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(style)
    )
}

/// A source of a `Content-Security-Policy`, without its quotes: lets in a script or a style with exactly this text.
pub fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::super::summary::ExperimentSummary;
    use super::*;

    #[test]
    fn no_text_ends_the_script_that_it_stands_in() {
        let mut written = ForScript(Vec::new());
        serde_json::to_writer(&mut written, "</script><!--<script>&amp;").unwrap();
        let safe = String::from_utf8(written.0).unwrap();
        assert!(!safe.contains(['<', '>', '&']), "{safe}");
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "</script><!--<script>&amp;");
    }

    #[test]
    fn a_page_that_nobody_could_open_is_not_written() {
        let name = "x".repeat(MAX_PAGE_BYTES);
        let experiments = vec![ExperimentSummary { name, ..Default::default() }];
        let report = Report { experiments, warnings: vec![Vec::new()] };
        let refused = write_page(&report, &mut io::sink()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the page would have more than 24 MiB; choose fewer experiments"
        );
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
