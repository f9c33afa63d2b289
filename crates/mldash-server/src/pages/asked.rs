//! What follows the `?` of a page's address, or is in a form.

use axum::http::Uri;

use crate::error::ApiError;

/// Keys and their values, in order.
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// What an address asks for.
    pub(super) fn of(uri: &Uri) -> Self {
        Self::of_form(uri.query().unwrap_or_default().as_bytes())
    }

    /// What a form says.
    pub(super) fn of_form(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// All values of a key.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The first value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// The value of a key that every link to the page has.
    pub(super) fn needed(&self, key: &str) -> Result<&str, ApiError> {
        let missing = || ApiError::bad_request(format!("`{key}` is missing in the link"));
        self.get(key).ok_or_else(missing)
    }

    /// Which page of a long list; what is no number means the first.
    pub(super) fn page(&self) -> usize {
        self.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1)
    }
}
