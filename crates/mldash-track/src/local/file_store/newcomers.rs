//! Saved files on their way into the list: which of them take the place of others.

use std::collections::HashMap;

use super::FileInfo;

/// Files from the journal that are not in the list yet. They meet the files of the list one by one,
/// so that the list need not be in memory.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// In the order in which they were saved. Those that have found their place are gone.
    files: Vec<Option<FileInfo>>,
    by_id: HashMap<String, usize>,
    /// By folder and name.
    by_place: HashMap<(String, String), usize>,
    /// Files that were saved over.
    pub(super) gave_way: Vec<FileInfo>,
}

impl Newcomers {
    /// Takes `saved`, of which the last file of each place counts. Those without data are gone:
    /// they were listed before a crash and perhaps saved over since.
    pub(super) fn new(saved: Vec<FileInfo>, has_data: impl Fn(&FileInfo) -> bool) -> Self {
        let mut new = Self::default();
        for file in saved {
            let place = (file.path.clone(), file.filename.clone());
            let at = new.files.len();
            if let Some(before) = new.by_place.insert(place, at) {
                let over = new.files.get_mut(before).and_then(Option::take);
                new.gave_way.extend(over);
            }
            new.files.push(Some(file));
        }
        for file in &mut new.files {
            file.take_if(|file| !has_data(file));
        }
        let left = new.files.iter().enumerate();
        new.by_id = left.filter_map(|(at, file)| Some((file.as_ref()?.id.clone(), at))).collect();
        new
    }

    /// What the list has in the place of `listed` from now on.
    pub(super) fn meet(&mut self, listed: FileInfo) -> Option<FileInfo> {
        if let Some(at) = self.by_id.get(&listed.id) {
            // Listed before a crash.
            self.files[*at] = None;
        }
        if listed.deleted_at.is_some() {
            return Some(listed);
        }
        let place = (listed.path.clone(), listed.filename.clone());
        let newcomer = self.by_place.get(&place).and_then(|at| self.files[*at].take());
        match newcomer {
            Some(newcomer) => {
                self.gave_way.push(listed);
                Some(newcomer)
            }
            None => Some(listed),
        }
    }

    /// Those whose places nobody had.
    pub(super) fn rest(&mut self) -> Vec<FileInfo> {
        std::mem::take(&mut self.files).into_iter().flatten().collect()
    }
}
