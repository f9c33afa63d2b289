//! `mocap`: motion capture frames as the Python SDK 0.11.0 returns them, after a description of the
//! track.

use std::io::Write;

use serde_json::Value as Json;

use super::survey::Survey;
use super::{About, RowSource, RowStream, rows_of};
use crate::error::TrackError;
use crate::json::{Columns, NonFinite, project_row, to_text};
use crate::row::Value;

/// The SDK's name for a frame's time.
const TIME_KEY: &str = "time";

/// Writes the rows of `source` to `out`.
pub(super) fn write(
    source: &impl RowSource,
    non_finite: NonFinite,
    out: &mut dyn Write,
) -> Result<(), TrackError> {
    let survey = Survey::of(source)?;
    let about = source.about();
    let mut text = head(&about, &survey);
    let form = survey.form_with(non_finite);
    let mut rows = source.rows();
    let mut lines = Vec::new();
    let mut separator: &[u8] = b"";
    while let Some(read) = rows.next_lines(form, &mut lines) {
        read?;
        for row in rows_of(&lines) {
            text.extend_from_slice(separator);
            project_row(row, &Columns::All, TIME_KEY, &mut text).map_err(|error| {
                TrackError::Corrupt { topic: about.topic.clone(), reason: error.to_string() }
            })?;
            separator = b",";
        }
        out.write_all(&text).map_err(TrackError::Export)?;
        text.clear();
        lines.clear();
    }
    text.extend_from_slice(b"]}");
    out.write_all(&text).map_err(TrackError::Export)
}

/// Everything before the first frame.
fn head(about: &About, survey: &Survey) -> Vec<u8> {
    let mut channels: Vec<&str> = survey.columns().map(|name| &**name).collect();
    channels.sort_unstable();
    let head = format!(
        "{{\"version\":\"1.0\",\"metadata\":{{{}}},\"channels\":{},\"frames\":[",
        metadata(about, survey),
        Json::from(channels)
    );
    head.into_bytes()
}

/// The entries that describe the track. The SDK leaves some out when there are no frames.
fn metadata(about: &About, survey: &Survey) -> String {
    let topic = Json::from(about.topic.as_str());
    let Some((start, end)) = survey.span() else {
        let span = if about.is_stored { ",\"startTime\":0,\"endTime\":0" } else { "" };
        return format!("\"topic\":{topic},\"frameCount\":0,\"duration\":0{span}");
    };
    let secs = |secs: f64| to_text(&Value::F64(secs));
    format!(
        "\"topic\":{topic},\"description\":{},\"tags\":{},\"fps\":{},\"duration\":{},\
         \"frameCount\":{},\"startTime\":{},\"endTime\":{}",
        about.description,
        about.tags,
        about.fps,
        secs(end - start),
        survey.rows(),
        secs(start),
        secs(end),
    )
}
