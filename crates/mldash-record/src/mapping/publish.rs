//! `publish`: where closed parts go, as Parquet on an object store.

use super::bytes::Bytes;
use super::keys;
use super::read::SIZE;
use crate::yaml::{Item, Problems};

/// The key.
pub(super) const PUBLISH: &str = "publish";
const SCHEMES: [&str; 4] = ["s3", "gs", "az", "file"];
const TO: &str =
    "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER";
const ENDPOINT: &str = "an address such as https://minio.example.org:9000";

/// The largest `inline_files`: the files of a row are in memory together.
pub const MAX_INLINE_FILES: Bytes = Bytes::new(16 << 20);

/// Where closed parts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The URL: `s3://`, `gs://`, `az://` or `file://`.
    pub to: String,
    /// Where an S3-compatible store listens.
    pub endpoint: Option<String>,
    /// Pictures and clouds up to this size go into the rows.
    pub inline_files: Option<Bytes>,
    /// Bytes a second to send, at most.
    pub limit_rate: Option<Bytes>,
    /// Nobody else publishes there, so that conditional puts are not needed.
    pub single_writer: bool,
}

/// The setting; `None` only with a problem.
pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Publish> {
    if item.is_scalar() && !item.is_null() {
        let hint = format!("write `publish: {{to: {}}}`", item.text(problems)?);
        item.mismatch("a mapping", Some(&hint), problems);
        return None;
    }
    let section = item.section(&keys::PUBLISHED, problems)?;
    let endpoint = section.get("endpoint").and_then(|item| endpoint(item, problems));
    let inline_files: Option<Bytes> = section.get("inline_files").and_then(|item| {
        let most: Bytes = item.parse(SIZE, problems)?;
        if most > MAX_INLINE_FILES {
            let hint =
                format!("{MAX_INLINE_FILES} is the most; what is larger is an object of its own");
            problems.add(&item.spot, "files of this size don't go into rows", Some(hint));
        }
        Some(most)
    });
    let limit_rate: Option<Bytes> = section.get("limit_rate").and_then(|item| {
        let rate: Bytes = item.parse(SIZE, problems)?;
        if rate.get() == 0 {
            let hint = "write bytes a second, such as 500kB";
            problems.add(
                &item.spot,
                "nothing can be sent at 0 bytes a second",
                Some(hint.to_owned()),
            );
        }
        Some(rate)
    });
    let single_writer = section.get("single_writer").and_then(|item| item.truth(problems));
    let Some(to) = section.get("to") else {
        problems.add(&section.spot, "`to` is missing", Some(TO.to_owned()));
        return None;
    };
    let to = self::to(to, problems)?;
    if let Some(item) = section.get("endpoint").filter(|_| to.starts_with("file:")) {
        problems.add(&item.spot, "`endpoint` is not for a folder", None);
    }
    let single_writer = single_writer.unwrap_or_default();
    Some(Publish { to, endpoint, inline_files, limit_rate, single_writer })
}

fn to(item: &Item<'_>, problems: &mut Problems) -> Option<String> {
    let text = item.text(problems)?;
    let parts = text.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme));
    let fits = parts.is_some_and(|(scheme, rest)| match scheme {
        "file" => rest.starts_with('/'),
        _ => !rest.is_empty() && !rest.starts_with('/'),
    });
    // It would be noted with the recording.
    let is_secret = text.contains('?') || text.contains('#') || text.contains('@');
    if is_secret {
        let hint = "credentials come from the environment, such as AWS_ACCESS_KEY_ID";
        problems.add(
            &item.spot,
            "an address with credentials or parameters",
            Some(hint.to_owned()),
        );
        return None;
    }
    if !fits || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        item.mismatch("the address of an object store", Some(TO), problems);
        return None;
    }
    Some(text.to_owned())
}

fn endpoint(item: &Item<'_>, problems: &mut Problems) -> Option<String> {
    let text = item.text(problems)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('@'));
    if !fits || text.contains(char::is_whitespace) {
        item.mismatch(ENDPOINT, None, problems);
        return None;
    }
    Some(text.to_owned())
}
