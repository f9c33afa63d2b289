//! The list of a namespace's experiments: those that are being recorded first, then the newest.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use mldash_export::report::{date_text, length_text, size_text};
use mldash_track::{ExperimentName, experiments_of};

use super::asked::Asked;
use super::html::{Styles, id_of, in_query, page as page_of};
use super::known::{self, Listed};
use crate::app::App;
use crate::error::ApiError;
use crate::memory::Memory;
use crate::token::Namespace;
use crate::work::blocking;

/// Experiments on one page of the list.
const PER_PAGE: usize = 100;
/// More words find nothing that fewer don't.
const MAX_WORDS: usize = 16;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage<'a> {
    styles: Styles,
    namespace: &'a str,
    /// What was searched for.
    query: &'a str,
    found: usize,
    all: usize,
    rows: Vec<Row<'a>>,
    /// Links to the pages before and after.
    before: Option<String>,
    after: Option<String>,
}

/// An experiment, as it is shown.
struct Row<'a> {
    id: String,
    /// Without the namespace, which is the same for all.
    name: &'a str,
    listed: &'a Listed,
    start: String,
    length: String,
    rows: String,
    size: String,
}

/// What is searched for.
struct Search {
    query: String,
    page: usize,
}

impl Search {
    fn of(uri: &Uri) -> Self {
        let asked = Asked::of(uri);
        Self { query: asked.get("q").unwrap_or_default().trim().to_owned(), page: asked.page() }
    }

    fn words(&self) -> Vec<String> {
        self.query.split_whitespace().take(MAX_WORDS).map(str::to_lowercase).collect()
    }

    fn link(&self, page: usize) -> String {
        format!("/?q={}&page={page}", in_query(&self.query))
    }
}

/// GET `/`.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    mut memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let search = Search::of(&uri);
    let owner = namespace.clone();
    let listed = blocking(move || {
        let root = app.experiments.root();
        let names = experiments_of(root, owner.as_str())?;
        app.pages.known.list(root, &owner, &names, &mut memory)
    });
    let mut listed = listed.await?;
    let all = listed.len();
    let words = search.words();
    listed.retain(|listed| listed.has(&words));
    listed.sort_by(|a, b| order(a, b));
    let found = listed.len();
    let pages = found.div_ceil(PER_PAGE).max(1);
    let number = search.page.min(pages);
    let shown = listed.iter().skip((number - 1) * PER_PAGE).take(PER_PAGE);
    page_of(&ListPage {
        styles: Styles,
        namespace: namespace.as_str(),
        query: &search.query,
        found,
        all,
        rows: shown.filter_map(|listed| Row::of(listed)).collect(),
        before: (number > 1).then(|| search.link(number - 1)),
        after: (number < pages).then(|| search.link(number + 1)),
    })
}

/// Those that are recorded come first, then the newest.
fn order(a: &Listed, b: &Listed) -> std::cmp::Ordering {
    let is_over = |listed: &Listed| listed.state != known::State::Live;
    let start = |listed: &Listed| listed.start.unwrap_or(f64::NEG_INFINITY);
    is_over(a)
        .cmp(&is_over(b))
        .then(start(b).total_cmp(&start(a)))
        .then_with(|| a.name.cmp(&b.name))
}

impl<'a> Row<'a> {
    fn of(listed: &'a Listed) -> Option<Self> {
        let name: ExperimentName = listed.name.parse().ok()?;
        let about = if listed.is_exact { "" } else { "~" };
        Some(Self {
            id: id_of(&name),
            name: listed.name.split_once('/')?.1,
            listed,
            start: listed.start.map(date_text).unwrap_or_default(),
            length: listed.length.map(length_text).unwrap_or_default(),
            rows: format!("{about}{}", listed.rows),
            size: size_text(listed.size_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_comes_first_and_then_the_newest() {
        let listed = |name: &str, start: Option<f64>, state| Listed {
            name: name.to_owned(),
            start,
            state,
            ..Listed::default()
        };
        let over = known::State::Unknown;
        let mut all = [
            listed("old", Some(1.0), over),
            listed("empty", None, over),
            listed("b", Some(9.0), over),
            listed("a", Some(9.0), over),
            listed("live", Some(0.5), known::State::Live),
        ];
        all.sort_by(order);
        let names: Vec<&str> = all.iter().map(|listed| listed.name.as_str()).collect();
        assert_eq!(names, ["live", "a", "b", "old", "empty"]);
    }

    #[test]
    fn a_page_that_is_no_number_is_the_first() {
        let asked = |query: &str| Search::of(&format!("/?{query}").parse().unwrap());
        assert_eq!((asked("q=+a%20B+&page=3").query.as_str(), asked("page=3").page), ("a B", 3));
        for odd in ["page=0", "page=-1", "page=x", ""] {
            assert_eq!(asked(odd).page, 1, "{odd}");
        }
        assert_eq!(asked("q=a%26page=9").link(2), "/?q=a%26page%3D9&page=2");
    }
}
