//! Files uploaded as a form (`multipart/form-data`), with its parts in any order. The data is
//! written to disk as it arrives, and kept only if it has the announced checksum.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::app::App;
use super::body::{Pace, announced_bytes};
use super::error::ApiError;
use super::experiments::IfAbsent;
use super::incoming::IncomingFile;
use super::memory::Memory;
use super::nodes::{file_in, parent_of_files};
use super::shape;
use super::token::Namespace;
use mldash_track::json::JsonWeight;
use mldash_track::{FileInfo, WholeFile};

/// The limit on parts of a form besides the file's data.
const MAX_FIELDS: usize = 32;
const MAX_FIELD_BYTES: usize = 64 << 10;
/// What the form may take besides the file.
const FORM_BYTES: u64 = 4 << 20;

/// A complete form.
struct Form {
    fields: HashMap<String, String>,
    data: Data,
}

/// Its file.
struct Data {
    /// Removes the file unless it was moved away.
    incoming: IncomingFile,
    file: WholeFile,
    filename: Option<String>,
    content_type: Option<String>,
}

/// POST `/api/namespaces/{namespace}/nodes` with a form: saves a file. Replaces one at the same
/// place.
pub(super) async fn save(
    app: &Arc<App>,
    namespace: &Namespace,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let max_bytes = app.limits.max_file_bytes;
    if announced_bytes(request.headers())
        .is_some_and(|bytes| bytes > max_bytes.saturating_add(FORM_BYTES))
    {
        return Err(file_too_large(max_bytes));
    }
    let form = Multipart::from_request(request, app).await;
    let form = form.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let mut memory = Memory::of(app, namespace);
    let mut form = Form::take_in(app, form, &mut memory).await?;
    form.check()?;

    let experiment = namespace.own_experiment(form.required("experimentId")?)?;
    let folder =
        parent_of_files(namespace, &experiment, form.fields.get("parentId").map(String::as_str))?;
    let filename = form.data.filename.take();
    let name = form.fields.get("name").or(filename.as_ref());
    let path = file_in(folder.as_ref(), name.map_or("", String::as_str))?;

    let Form { fields, data } = form;
    if let Some(text) = fields.get("metadata") {
        // It is parsed, stored and answered.
        memory.hold(JsonWeight::of(text.as_bytes()).saturating_mul(3))?;
    }
    let metadata = fields.get("metadata").map(|text| serde_json::from_str(text)).transpose();
    let metadata: Option<Value> =
        metadata.map_err(|error| ApiError::bad_request(format!("`metadata`: {error}")))?;
    let write = app.experiments.write(&experiment, IfAbsent::Refuse, move |experiment| {
        let mut files = experiment.files("");
        if let Some(description) = fields.get("description") {
            files = files.description(description.as_str());
        }
        if let Some(tags) = fields.get("tags") {
            files = files.tags(tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()));
        }
        if let Some(metadata) = metadata {
            files = files.metadata(metadata);
        }
        if let Some(content_type) = data.content_type {
            files = files.content_type(content_type);
        }
        let info = files.adopt(data.file, path.as_str())?;
        drop(data.incoming);
        Ok::<FileInfo, ApiError>(info)
    });
    let info = write.await?;
    Ok(Json(json!({
        "node": shape::file(&experiment, &info)?,
        "physicalFile": shape::physical_file(&info),
    })))
}

impl Form {
    async fn take_in(
        app: &App,
        mut form: Multipart,
        memory: &mut Memory,
    ) -> Result<Self, ApiError> {
        let pace = Pace::new(app.limits.body_timeout);
        let mut fields = HashMap::new();
        let mut data = None;
        let mut received = 0;
        loop {
            let field = timeout_at(pace.deadline(received), form.next_field()).await;
            let field = field.map_err(|_| ApiError::too_slow())?.map_err(broken)?;
            let Some(mut field) = field else { break };
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" && data.is_none() {
                let taken = Data::take_in(app, &mut field, &pace, received).await?;
                received += taken.file.size_bytes;
                data = Some(taken);
            } else if name == "file" || fields.len() == MAX_FIELDS {
                return Err(ApiError::bad_request("the form has more parts than a file needs"));
            } else {
                let text = text(&mut field, &pace, received, memory).await?;
                received += text.len() as u64;
                fields.insert(name, text);
            }
        }
        let data = data.ok_or_else(|| ApiError::bad_request("the form has no part `file`"))?;
        Ok(Self { fields, data })
    }

    fn required(&self, name: &str) -> Result<&str, ApiError> {
        let value = self.fields.get(name).map(String::as_str);
        value.ok_or_else(|| ApiError::bad_request(format!("the form has no part `{name}`")))
    }

    /// Checks that it is a file, and the one that was announced.
    fn check(&self) -> Result<(), ApiError> {
        if self.required("type")? != "FILE" {
            return Err(ApiError::bad_request("a form can only create a node of type FILE"));
        }
        let announced = self.required("checksum")?;
        if !announced.eq_ignore_ascii_case(&self.data.file.checksum) {
            return Err(ApiError::checksum(format!(
                "the data's SHA-256 is {} instead of the announced `{}`; send the file again",
                self.data.file.checksum,
                announced.escape_debug()
            )));
        }
        Ok(())
    }
}

impl Data {
    async fn take_in(
        app: &App,
        field: &mut Field<'_>,
        pace: &Pace,
        received_before: u64,
    ) -> Result<Self, ApiError> {
        let max_bytes = app.limits.max_file_bytes;
        let mut incoming = app.incoming.file().await?;
        loop {
            let received = received_before + incoming.size_bytes();
            let chunk = timeout_at(pace.deadline(received), field.chunk()).await;
            let chunk = chunk.map_err(|_| ApiError::too_slow())?.map_err(broken)?;
            let Some(chunk) = chunk else { break };
            if incoming.size_bytes() + chunk.len() as u64 > max_bytes {
                return Err(file_too_large(max_bytes));
            }
            incoming.write(&chunk).await?;
        }
        let file = incoming.finish().await?;
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(str::to_owned);
        Ok(Self { incoming, file, filename, content_type })
    }
}

async fn text(
    field: &mut Field<'_>,
    pace: &Pace,
    received_before: u64,
    memory: &mut Memory,
) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    loop {
        let received = received_before + bytes.len() as u64;
        let chunk = timeout_at(pace.deadline(received), field.chunk()).await;
        let Some(chunk) = chunk.map_err(|_| ApiError::too_slow())?.map_err(broken)? else { break };
        if bytes.len() + chunk.len() > MAX_FIELD_BYTES {
            let message = format!("a part of the form is larger than {MAX_FIELD_BYTES} bytes");
            return Err(ApiError::too_large(message));
        }
        // The text may have room for as much again.
        memory.hold(2 * chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::bad_request("a part of the form is not UTF-8"))
}

fn broken(error: MultipartError) -> ApiError {
    ApiError::bad_request(format!("the form can't be read: {}", error.body_text()))
}

fn file_too_large(max_bytes: u64) -> ApiError {
    ApiError::too_large(format!("the file is larger than {max_bytes} bytes"))
}
