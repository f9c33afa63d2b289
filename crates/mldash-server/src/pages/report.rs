//! The page of an experiment, or of several side by side: the report, made from what the store holds now.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use mldash_export::report::{BESIDE, Report, ReportLimits, Site, write_page_of_site};
use mldash_export::{Progress, Recording};
use mldash_track::{Experiment, ExperimentName, TrackError};
use serde::Serialize;

use super::asked::Asked;
use super::html::{LIVE_SCRIPT, SITE_STYLE, Styles, id_of, in_query, page as page_of};
use super::reports::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::export;
use crate::memory::Memory;
use crate::token::Namespace;
use crate::work::blocking;

/// Experiments side by side.
const MAX_BESIDE: usize = 8;
/// What of a robot's rows and pictures is shown: with more, others would go without memory.
const MAX_ROW_BYTES: usize = 16 << 20;
const MAX_PIXELS: u64 = 3 << 20;

/// What stands above a report.
#[derive(Template)]
#[template(path = "top.html")]
struct Top<'a> {
    namespace: &'a str,
    /// Ids and names.
    experiments: Vec<(String, &'a str)>,
    /// Where to ask whether anything has changed, and what there was when the page was made.
    state_of: String,
    state: &'a Look,
}

/// What there is to see until a report is made.
#[derive(Template)]
#[template(path = "waiting.html")]
struct WaitingPage<'a> {
    styles: Styles,
    namespace: &'a str,
    /// How much is read; unknown at first.
    percent: Option<u64>,
}

/// What experiments look like from outside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Look {
    /// Differs once anything has changed.
    state: String,
    is_live: bool,
}

/// The experiments that a query names, each once.
fn chosen(namespace: &Namespace, uri: &Uri) -> Result<Vec<ExperimentName>, ApiError> {
    let mut names: Vec<ExperimentName> = Vec::new();
    for id in Asked::of(uri).all("e") {
        let name = namespace.own_experiment(id)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.len() {
        0 => Err(ApiError::bad_request("no experiment is chosen; choose some in the list")),
        1..=MAX_BESIDE => Ok(names),
        found => Err(ApiError::bad_request(format!(
            "{MAX_BESIDE} experiments can stand side by side, and {found} are chosen; choose fewer"
        ))),
    }
}

impl Look {
    fn of(experiments: &[Experiment]) -> Result<Self, TrackError> {
        let mut state = String::new();
        let mut is_live = false;
        for experiment in experiments {
            state += &experiment.stamp(&BESIDE)?.to_string();
            is_live |= experiment.is_being_written()?;
        }
        Ok(Self { state, is_live })
    }
}

async fn look(app: &Arc<App>, names: &[ExperimentName]) -> Result<Look, ApiError> {
    let (app, names) = (app.clone(), names.to_vec());
    blocking(move || {
        let root = app.experiments.root();
        let open = |name: &ExperimentName| Experiment::open_read_only(name.as_str(), root);
        let experiments = names.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Look::of(&experiments)?)
    })
    .await
}

/// GET `/report/state`: whether the page is still true, without reading a row.
pub(super) async fn state(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    uri: Uri,
) -> Result<Json<Look>, ApiError> {
    let names = chosen(&namespace, &uri)?;
    Ok(Json(look(&app, &names).await?))
}

/// GET `/report`.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    namespace: Namespace,
    mut memory: Memory,
    uri: Uri,
) -> Result<Response, ApiError> {
    let names = chosen(&namespace, &uri)?;
    let look = look(&app, &names).await?;
    let (key, state, reports) = (names.clone(), look.state.clone(), &app.pages.reports);
    let place = || app.one_of(&reports.places, &namespace);
    let make = |progress| make(app.clone(), namespace.clone(), names, look, progress);
    let page = match reports.page(key, state, place, make).await? {
        Answer::Page(page) => page,
        Answer::NotYet { rows, of } => return not_yet(&namespace, rows, of),
    };
    // Until the browser has taken it.
    memory.hold(page.len())?;
    let mut response = export::stream_from(&app, &namespace, move |out| {
        let written = out.write_all(&page).map_err(TrackError::Export);
        drop(memory);
        Ok(written?)
    })
    .await?;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    Ok(response)
}

/// A page that asks again by itself.
fn not_yet(namespace: &Namespace, rows: u64, of: u64) -> Result<Response, ApiError> {
    let percent = (of > 0).then(|| rows.saturating_mul(100) / of);
    let waiting = WaitingPage { styles: Styles, namespace: namespace.as_str(), percent };
    let mut response = page_of(&waiting)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

async fn make(
    app: Arc<App>,
    namespace: Namespace,
    names: Vec<ExperimentName>,
    look: Look,
    progress: Arc<Progress>,
) -> Result<Bytes, ApiError> {
    let mut limits = ReportLimits::default();
    // On one thread: the others are for robots.
    (limits.max_row_bytes, limits.max_pixels, limits.threads) = (MAX_ROW_BYTES, MAX_PIXELS, 1);
    limits.hidden = Some(app.experiments.root().to_owned());
    let mut memory = Memory::of(&app, &namespace);
    let (opener, opened) = (app.clone(), names.clone());
    let weighed = blocking(move || {
        let open = opened.iter().map(ToString::to_string);
        let recordings = Recording::open_all(open, opener.experiments.root())?;
        let weight = limits.weight(&recordings)?;
        Ok((recordings, limits, weight))
    });
    let (recordings, limits, weight) = weighed.await?;
    let held = app.pages.reports.hold(&mut memory, weight, &progress).await;
    held.map_err(ApiError::for_report)?;
    blocking(move || {
        let report = Report::within(&recordings, &limits, &progress)?;
        let ids: Vec<String> = names.iter().map(id_of).collect();
        let query: Vec<String> = ids.iter().map(|id| format!("e={}", in_query(id))).collect();
        let top = Top {
            namespace: namespace.as_str(),
            experiments: ids.into_iter().zip(names.iter().map(ExperimentName::as_str)).collect(),
            state_of: format!("/report/state?{}", query.join("&")),
            state: &look,
        };
        let top = top.render().map_err(|error| ApiError::internal(&error))?;
        let mut page = Vec::new();
        let site = Site { top: &top, style: SITE_STYLE, script: LIVE_SCRIPT };
        write_page_of_site(&report, site, &mut page)?;
        page.shrink_to_fit();
        drop(memory);
        Ok(Bytes::from(page))
    })
    .await
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_how_far_it_is_by_a_page_that_asks_again() {
        let text = async |rows, of| {
            let answer = not_yet(&Namespace::new("alice"), rows, of).unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        };
        let half = text(50, 100).await;
        assert!(
            half.contains("50 % of the rows") && half.contains("http-equiv=\"refresh\""),
            "{half}"
        );
        assert!(!text(0, 0).await.contains("% of the rows"), "nobody knows yet");
    }
}
