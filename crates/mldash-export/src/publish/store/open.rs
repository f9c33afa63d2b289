//! Opens the store that a URL names, with the credentials and settings of the environment.

use std::env;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, Error as StoreError, ObjectStore, RetryConfig, UpdateVersion,
};
use reqwest::Url;

use super::paced::{Pace, PacedConnector};
use super::{Created, Store, Updates, Version};
use crate::publish::error::PublishError;
use crate::publish::layout::{LOCK, MARKER};
use crate::publish::manifest::FORMAT;
use crate::publish::stored_json::{self, AnyObject};

/// How long a request may take: 8 MiB at 14 kB/s. The default is 30 s, in which slow links never send a part.
const REQUEST_TIMEOUT: &str = "600s";

/// How long requests may take, how often and how fast: the same for the builders of all clouds, which have no trait in common.
macro_rules! with_limits {
    ($builder:expr, $key:ident, $timeout:literal, $rate:expr) => {{
        let mut builder = $builder.with_retry(retry());
        if env::var_os($timeout).is_none() {
            builder = builder.with_config($key::Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT);
        }
        if let Some(rate) = $rate {
            builder = builder.with_http_connector(PacedConnector(Pace::new(rate)));
        }
        builder
    }};
}

/// Which store, and how to reach it.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// `s3://`, `gs://`, `az://` or `file://`.
    pub url: String,
    /// Where an S3-compatible store, or an emulator of Azure's, listens.
    pub endpoint: Option<String>,
    /// Bytes a second to send, at most.
    pub limit_rate: Option<u64>,
    /// Nobody else publishes there, so that conditional puts are not needed.
    pub single_writer: bool,
}

impl StoreSettings {
    /// The store at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Opens the store, without asking it anything yet.
    ///
    /// # Errors
    /// Fails if the URL is none that can be published to, or the environment's settings don't fit.
    pub fn open(&self) -> Result<Store, PublishError> {
        // An earlier caller has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = self.checked()?;
        let (objects, prefix, updates) = match url.scheme() {
            "file" => self.folder(&url)?,
            "s3" | "s3a" => (self.s3(&url)?, prefix(&url, &self.shown())?, Updates::Conditional),
            "gs" => (self.gcs(&url)?, prefix(&url, &self.shown())?, Updates::Conditional),
            _ => (self.azure(&url)?, prefix(&url, &self.shown())?, Updates::Conditional),
        };
        let updates = if self.single_writer { Updates::Unconditional } else { updates };
        let store = Store::over(objects, prefix, self.url.clone(), updates)?;
        // A folder may be on a network, too.
        let pace = self.limit_rate.filter(|_| store.is_folder()).map(Pace::new);
        Ok(store.paced(pace))
    }

    /// The URL, if it can be published to. Whether somebody answers there is not known then.
    ///
    /// # Errors
    /// Fails if it can't.
    pub fn checked(&self) -> Result<Url, PublishError> {
        let wrong =
            |reason: &str| PublishError::Url { url: self.shown(), reason: reason.to_owned() };
        let url =
            Url::parse(&self.url).map_err(|error| wrong(&format!("it is no URL ({error})")))?;
        if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            // They would end up in logs and files.
            return Err(wrong(
                "credentials and parameters come from the environment, not with the URL",
            ));
        }
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        match url.scheme() {
            "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" if !has_host => {
                Err(wrong("it names no bucket"))
            }
            "s3" | "s3a" | "az" | "azure" | "abfs" | "abfss" => Ok(url),
            "gs" | "file" if self.endpoint.is_some() => {
                Err(wrong("an endpoint is for s3:// and az:// only"))
            }
            "gs" => Ok(url),
            "file" if has_host || url.to_file_path().is_err() => {
                Err(wrong("after `file://` comes a path that begins with `/`"))
            }
            "file" => Ok(url),
            scheme => Err(wrong(&format!("there is no store for `{scheme}://`"))),
        }
    }

    /// The URL without what may be secret.
    fn shown(&self) -> String {
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        let shown = &self.url[..end];
        match (shown.split_once("://"), shown.split_once('@')) {
            (Some((scheme, rest)), Some(_))
                if rest.split('/').next().is_some_and(|host| host.contains(':')) =>
            {
                let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
                format!("{scheme}://…@{rest}")
            }
            _ => shown.to_owned(),
        }
    }

    fn folder(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, Path, Updates), PublishError> {
        let folder = url.to_file_path().unwrap_or_default();
        fs::create_dir_all(&folder).map_err(PublishError::io("create", &folder))?;
        let objects = LocalFileSystem::new_with_prefix(&folder).map_err(self.setup("none"))?;
        // Names are gone after a power cut as little as rows of the local store are.
        let objects = objects.with_fsync(true);
        Ok((Arc::new(objects), Path::default(), Updates::Locked(folder.join(LOCK))))
    }

    fn s3(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, PublishError> {
        let builder = AmazonS3Builder::from_env()
            .with_url(url.to_string())
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        let mut builder = with_limits!(builder, AmazonS3ConfigKey, "AWS_TIMEOUT", self.limit_rate);
        if let Some(endpoint) = &self.endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http:"));
        }
        Ok(Arc::new(builder.build().map_err(self.setup("AWS_…"))?))
    }

    fn gcs(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, PublishError> {
        let builder = GoogleCloudStorageBuilder::from_env().with_url(url.to_string());
        let builder = with_limits!(builder, GoogleConfigKey, "GOOGLE_TIMEOUT", self.limit_rate);
        Ok(Arc::new(builder.build().map_err(self.setup("GOOGLE_…"))?))
    }

    fn azure(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, PublishError> {
        let builder = MicrosoftAzureBuilder::from_env().with_url(url.to_string());
        let mut builder = with_limits!(builder, AzureConfigKey, "AZURE_TIMEOUT", self.limit_rate);
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_endpoint(endpoint.clone())
                .with_allow_http(endpoint.starts_with("http:"));
        }
        Ok(Arc::new(builder.build().map_err(self.setup("AZURE_…"))?))
    }

    fn setup(&self, variables: &'static str) -> impl FnOnce(StoreError) -> PublishError {
        let url = self.shown();
        move |source| PublishError::Setup { url, variables, source: Box::new(source) }
    }
}

impl Store {
    /// Finds out whether the store can be published to: whether it answers, whether it holds the layout that this program
    /// knows, and whether it keeps to conditions.
    ///
    /// # Errors
    /// Fails if one of these is not so.
    pub fn check(&self) -> Result<(), PublishError> {
        if self.check_what_is_there()? {
            return Ok(());
        }
        let marker = Bytes::from(format!("{{\"format\":{FORMAT}}}\n"));
        // One of several that come first puts it. A store that lets a second one pass does not look at conditions.
        let unconditional = || PublishError::Unconditional { url: self.url.clone() };
        match self.create(MARKER, marker.clone()) {
            // It says itself that it knows no conditions.
            Err(PublishError::Store { source, .. }) if is_unknown(&source) => {
                return Err(unconditional());
            }
            created => created?,
        };
        match self.create(MARKER, marker)? {
            Created::New if self.updates != Updates::Unconditional => {
                self.delete(MARKER)?;
                Err(unconditional())
            }
            Created::New | Created::Existed => self.check_what_is_there().map(drop),
        }
    }

    /// As [`check`](Self::check), where something was published before; else returns false and puts nothing. Who
    /// promised to be the only writer before may not be it now, and a copy may lie on another kind of store: so
    /// conditions are tried each time.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_what_is_there(&self) -> Result<bool, PublishError> {
        let Some((there, _)) = self.read(MARKER)? else { return Ok(false) };
        stored_json::parse::<AnyObject>(&there, &self.url, MARKER)?;
        if self.updates == Updates::Conditional {
            let nobodys = UpdateVersion {
                e_tag: Some("\"00000000000000000000000000000000\"".to_owned()),
                version: Some("1".to_owned()),
            };
            // Another text than the marker's: `update` takes the same one for its own success.
            let probe = Bytes::from(format!("{{\"format\": {FORMAT}}}\n"));
            let unconditional = || PublishError::Unconditional { url: self.url.clone() };
            match self.update(MARKER, &probe, Some(&Version(nobodys))) {
                Ok(None) => {}
                Ok(Some(_)) => return Err(unconditional()),
                Err(PublishError::Store { source, .. }) if is_unknown(&source) => {
                    return Err(unconditional());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The path of a URL as keys have it: nothing of it is decoded but what a URL can't hold.
fn prefix(url: &Url, shown: &str) -> Result<Path, PublishError> {
    Path::from_url_path(url.path())
        .map_err(|error| PublishError::Url { url: shown.to_owned(), reason: error.to_string() })
}

/// Short: the publisher itself waits longer, and can be stopped meanwhile.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            ..BackoffConfig::default()
        },
        max_retries: 2,
        retry_timeout: Duration::from_secs(30),
    }
}

/// Returns true if a store answers that it does not know what it was asked.
fn is_unknown(error: &StoreError) -> bool {
    let is_status = || error.to_string().contains("status code: 501");
    matches!(error, StoreError::NotImplemented { .. } | StoreError::NotSupported { .. })
        || is_status()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::store::Source;

    fn refused(url: &str) -> String {
        StoreSettings::new(url).open().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_and_secrets_are_not() {
        assert!(refused("bucket/x").contains("it is no URL"));
        assert!(refused("http://bucket/x").contains("no store for `http://`"));
        assert!(refused("s3:///x").contains("names no bucket"));
        assert!(refused("file://x/y").contains("begins with `/`"));
        let secret = refused("s3://key:hunter2@bucket/x?secret=hunter3");
        assert!(secret.contains("environment") && !secret.contains("hunter"), "{secret}");
    }

    #[test]
    fn a_folder_is_written_no_faster_than_asked() {
        let root = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(root.path()).unwrap();
        let settings = StoreSettings { limit_rate: Some(100_000), ..StoreSettings::new(url) };
        let store = settings.open().unwrap().part_bytes(10_000);
        let path = root.path().join("source");
        fs::write(&path, [7; 40_000]).unwrap();
        let file = fs::File::open(&path).unwrap();
        let begun = std::time::Instant::now();
        let mut source = Source { file, path: &path, bytes: 40_000, sha256: None };
        store.put_file("parts", &mut source, &mut |_| {}).unwrap();
        store.put("whole", vec![7; 5_000].into()).unwrap();
        store.update("manifest", &vec![7; 5_000].into(), None).unwrap();
        // All but the last 5,000 bytes had their time.
        assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_folder_is_made_and_keeps_to_conditions() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a b/c");
        let url = Url::from_file_path(&folder).unwrap();
        let store = StoreSettings::new(url.as_str()).open().unwrap();
        store.check().unwrap();
        store.check().unwrap();
        let bytes = |text: &str| Bytes::from(text.to_owned());
        let first = store.update("x/y%2Fz.json", &bytes("1"), None).unwrap().unwrap();
        assert!(folder.join("x/y%2Fz.json").exists());
        assert_eq!(store.update("x/y%2Fz.json", &bytes("2"), None).unwrap(), None);
        let second = store.update("x/y%2Fz.json", &bytes("22"), Some(&first)).unwrap();
        assert!(second.is_some());
        assert_eq!(store.update("x/y%2Fz.json", &bytes("3"), Some(&first)).unwrap(), None);
        assert_eq!(store.read("x/y%2Fz.json").unwrap().unwrap().0, "22");
        assert_eq!(store.read("x/none").unwrap(), None);
    }
}
