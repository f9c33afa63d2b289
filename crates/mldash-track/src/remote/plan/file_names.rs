//! The names of files that the server lacks, as rows may name them.

use std::collections::HashMap;
use std::sync::Arc;

/// A file's id as a number.
pub(crate) type FileId = u64;

/// Files by the last part of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileNames {
    files: HashMap<Box<str>, Vec<(FileId, Arc<str>)>>,
}

impl FileNames {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds the file `name` in `folder`.
    pub(crate) fn insert(&mut self, id: FileId, folder: impl Into<Arc<str>>, name: &str) {
        self.files.entry(name.into()).or_default().push((id, folder.into()));
    }

    pub(crate) fn remove(&mut self, id: FileId, name: &str) {
        if let Some(files) = self.files.get_mut(name) {
            files.retain(|(other, _)| *other != id);
            if files.is_empty() {
                self.files.remove(name);
            }
        }
    }

    /// The files that `text` may name: a file name with all, some or none of its folders before it.
    pub(crate) fn named_by(&self, text: &str) -> impl Iterator<Item = FileId> {
        let path = text.trim_start_matches('/');
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let files = self.files.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_meant = move |folder: &str| {
            folders.is_empty()
                || folder
                    .strip_suffix(folders)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        files.iter().filter(move |(_, folder)| is_meant(folder)).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_a_file_by_its_name_and_as_many_folders_as_it_has() {
        let mut names = FileNames::default();
        names.insert(1, "camera/left", "1.jpg");
        names.insert(2, "camera/right", "1.jpg");
        let named = |text: &str| names.named_by(text).collect::<Vec<_>>();
        assert_eq!(named("1.jpg"), [1, 2]);
        assert_eq!(named("left/1.jpg"), [1]);
        assert_eq!(named("/camera/right/1.jpg"), [2]);
        assert_eq!(named("eft/1.jpg"), [0; 0]);
        assert_eq!(named("x/camera/right/1.jpg"), [0; 0]);
        assert_eq!(named("hold"), [0; 0]);
    }
}
