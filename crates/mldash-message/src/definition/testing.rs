//! What tests of definitions share: installing types in a workspace, and describing the result.

use std::fs;
use std::path::Path;

use super::texts::installed;
use super::{Language, MessageType};
use crate::TypeName;

pub(super) fn name(text: &str) -> TypeName {
    text.parse().unwrap()
}

/// Installs the definition of a message below a workspace's prefix.
pub(super) fn install(prefix: &Path, ty: &str, text: &str) {
    let file = installed(prefix, &name(ty), Language::Msg);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// The fields of a type, as `type name`.
pub(super) fn fields(ty: &MessageType) -> Vec<String> {
    ty.fields().iter().map(|f| format!("{} {}", f.ty, f.name)).collect()
}
