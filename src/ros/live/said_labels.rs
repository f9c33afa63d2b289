//! What is said of the part that is recorded, as parameters show it: at once, and once the recorder has
//! noted it, as it is noted.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::track::{LabelChange, Labels};

/// How many changes may be on their way to the recorder.
const MAX_UNDER_WAY: usize = 64;

/// What is said of the part that is recorded. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct SaidLabels(Arc<Mutex<Said>>);

#[derive(Debug)]
struct Said {
    labels: Labels,
    /// Changes that the recorder has not noted yet.
    under_way: usize,
}

impl SaidLabels {
    pub(super) fn new(labels: Labels) -> Self {
        Self(Arc::new(Mutex::new(Said { labels, under_way: 0 })))
    }

    /// What is said by now.
    pub(super) fn labels(&self) -> Labels {
        self.0.lock().labels.clone()
    }

    /// Takes what the recorder has noted, unless later changes are on their way to it.
    pub(super) fn note(&self, noted: Option<Labels>, is_asked_for: bool) {
        let mut said = self.0.lock();
        said.under_way = said.under_way.saturating_sub(usize::from(is_asked_for));
        if let Some(noted) = noted.filter(|_| said.under_way == 0) {
            said.labels = noted;
        }
    }

    /// Shows a change that is on its way to the recorder.
    pub(super) fn change(&self, change: &LabelChange) {
        let mut said = self.0.lock();
        said.labels = change.labels_of(&said.labels);
        said.under_way += 1;
    }

    /// Whether the recorder has yet to note as many changes as may wait for it.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().under_way >= MAX_UNDER_WAY
    }
}
