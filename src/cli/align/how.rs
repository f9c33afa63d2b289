//! How to join, for all tracks or for one, and the words for it: what options and recipes say alike.

use mldash_bridge::track::{Aggregate, Align, AlignMethod, Join, Missing};

/// The methods and their words.
pub(super) const METHODS: [(&str, AlignMethod); 8] = [
    ("floor", AlignMethod::Floor),
    ("nearest", AlignMethod::Nearest),
    ("linear", AlignMethod::Linear),
    ("mean", AlignMethod::Window(Aggregate::Mean)),
    ("min", AlignMethod::Window(Aggregate::Min)),
    ("max", AlignMethod::Window(Aggregate::Max)),
    ("last", AlignMethod::Window(Aggregate::Last)),
    ("count", AlignMethod::Window(Aggregate::Count)),
];

/// What a time without values costs, and its words.
pub(super) const MISSING: [(&str, Missing); 4] = [
    ("null", Missing::Null),
    ("hold", Missing::Hold),
    ("drop", Missing::Drop),
    ("error", Missing::Error),
];

/// What is said of how to join.
pub(super) struct How {
    pub(super) method: Option<AlignMethod>,
    pub(super) tolerance_secs: Option<f64>,
    pub(super) missing: Option<Missing>,
}

impl How {
    /// `align`, with this for all tracks.
    pub(super) fn for_all(&self, mut align: Align) -> Align {
        if let Some(method) = self.method {
            align = align.method(method);
        }
        if let Some(secs) = self.tolerance_secs {
            align = align.tolerance(secs);
        }
        match self.missing {
            Some(missing) => align.missing(missing),
            None => align,
        }
    }

    /// `join`, with this for its track.
    pub(super) fn of_one(&self, mut join: Join) -> Join {
        if let Some(method) = self.method {
            join = join.method(method);
        }
        if let Some(secs) = self.tolerance_secs {
            join = join.tolerance(secs);
        }
        match self.missing {
            Some(missing) => join.missing(missing),
            None => join,
        }
    }
}
