//! Why an export fails.

/// Why a dataset can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {}
