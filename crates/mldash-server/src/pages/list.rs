//! The list of a namespace's experiments: those that are being recorded first, then the newest. However many there are, only
//! those that are shown are held in memory.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use mldash_export::report::{date_text, length_text, size_text};
use mldash_track::{ExperimentName, experiments_of};

use super::asked::Asked;
use super::html::{LIST_SCRIPT, Styles, id_of, in_query, page as page_of};
use super::known::{Listed, Owner, State as RunState};
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
    script: &'static str,
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

/// An experiment that is found, as far as its place in the list depends on it.
#[derive(Clone, Copy, Debug)]
struct Found {
    is_over: bool,
    start: f64,
    /// Among all, by name.
    place: usize,
}

/// GET `/`.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let search = Search::of(&uri);
    // A thread that may wait for the disk also goes through what it has read.
    blocking(move || answer(&app, &namespace, memory, &search)).await
}

fn answer(
    app: &App,
    namespace: &Namespace,
    mut memory: Memory,
    search: &Search,
) -> Result<Response, ApiError> {
    let (root, known) = (app.experiments.root(), &app.pages.known);
    let owner = Owner { namespace: namespace.clone(), is_alone: app.tokens.name_one_namespace() };
    let names = experiments_of(root, namespace.as_str())?;
    let of_name =
        |name: &ExperimentName| size_of_val(name) + name.as_str().len() + size_of::<Found>();
    memory.hold(names.iter().map(of_name).sum())?;
    known.keep(&owner, &names);
    let (words, mut found) = (search.words(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        let listed = known.one(root, &owner, name, &mut memory)?;
        if listed.has(&words) {
            found.push(Found::of(&listed, place));
        }
        memory.release(listed.bytes());
    }
    found.sort_by(Found::order);
    let pages = found.len().div_ceil(PER_PAGE).max(1);
    let number = search.page.min(pages);
    let shown = found.iter().skip((number - 1) * PER_PAGE).take(PER_PAGE);
    let shown = shown.filter_map(|found| names.get(found.place));
    // Most are remembered. They are held until the page is written.
    let shown = shown.map(|name| {
        let listed = known.one(root, &owner, name, &mut memory)?;
        memory.release(listed.bytes());
        let shown = listed.shown();
        memory.hold(shown.bytes()).map(|()| shown)
    });
    let shown = shown.collect::<Result<Vec<_>, _>>()?;
    page_of(&ListPage {
        styles: Styles,
        script: LIST_SCRIPT,
        namespace: namespace.as_str(),
        query: &search.query,
        found: found.len(),
        all: names.len(),
        rows: shown.iter().filter_map(Row::of).collect(),
        before: (number > 1).then(|| search.link(number - 1)),
        after: (number < pages).then(|| search.link(number + 1)),
    })
}

impl Found {
    fn of(listed: &Listed, place: usize) -> Self {
        let start = listed.start.unwrap_or(f64::NEG_INFINITY);
        Self { is_over: listed.state != RunState::Live, start, place }
    }

    /// Those that are recorded come first, then the newest.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.is_over
            .cmp(&other.is_over)
            .then(other.start.total_cmp(&self.start))
            .then(self.place.cmp(&other.place))
    }
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
        let over = RunState::Unknown;
        let all = [
            ("a", Some(9.0), over),
            ("b", Some(9.0), over),
            ("empty", None, over),
            ("live", Some(0.5), RunState::Live),
            ("old", Some(1.0), over),
        ];
        let found = all.iter().enumerate().map(|(place, (_, start, state))| {
            let mut listed = Listed::default();
            (listed.start, listed.state) = (*start, *state);
            Found::of(&listed, place)
        });
        let mut found: Vec<Found> = found.collect();
        found.reverse();
        found.sort_by(Found::order);
        let names: Vec<&str> = found.iter().map(|found| all[found.place].0).collect();
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
