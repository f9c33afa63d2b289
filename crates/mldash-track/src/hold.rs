//! What must not be removed from the store yet, and what was removed already.

use super::error::TrackError;
use super::experiment::Experiment;
use super::local::TrackInfo;

impl Experiment {
    /// Notes in the folder that `by`, such as a store that this is published to, is to have the rows and files too. Until it is
    /// [released](Self::release), nothing of it is removed because a server has it.
    ///
    /// # Errors
    /// Fails if it can't be written.
    pub fn hold(&self, by: &str) -> Result<(), TrackError> {
        Ok(self.shared.dir.hold(by)?)
    }

    /// Who is to have what is here before it may be removed.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn held_by(&self) -> Result<Option<String>, TrackError> {
        Ok(self.shared.dir.held_by()?)
    }

    /// Takes a [hold](Self::hold) of `by` back. Without one, or with that of somebody else, nothing happens.
    ///
    /// # Errors
    /// Fails if it can't be removed.
    pub fn release(&self, by: &str) -> Result<(), TrackError> {
        Ok(self.shared.dir.release(by)?)
    }

    /// The tracks whose rows were removed here after an upload, as they were noted when they were closed.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn removed_tracks(&self) -> Result<Vec<TrackInfo>, TrackError> {
        Ok(self.shared.dir.removed_tracks()?)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Experiment, Options, fields};

    #[test]
    fn a_hold_is_taken_back_by_whom_it_is_for() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        assert_eq!(exp.held_by().unwrap(), None);
        exp.hold("s3://lake/a").unwrap();
        exp.release("s3://lake/b").unwrap();
        assert_eq!(exp.held_by().unwrap().as_deref(), Some("s3://lake/a"));
        exp.release("s3://lake/a").unwrap();
        exp.release("s3://lake/a").unwrap();
        assert_eq!(exp.held_by().unwrap(), None);
    }

    #[test]
    fn what_was_removed_is_known_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        for i in 0..3 {
            exp.tracks("robot/arm").append(fields! { "q": 0.5 }, f64::from(i)).unwrap();
            exp.tracks("imu").append(fields! { "a": 1 }, f64::from(i)).unwrap();
        }
        exp.close().unwrap();
        let exp = Experiment::open_read_only("alice/lab/run", root.path()).unwrap();
        assert_eq!(exp.removed_tracks().unwrap(), []);
        let whole = exp.list().unwrap();
        std::fs::remove_file(exp.folder().join("tracks/robot_arm/data.jsonl")).unwrap();
        let removed = exp.removed_tracks().unwrap();
        assert_eq!(removed.len(), 1);
        let [noted, was] = [&removed[0], &whole[1]];
        assert_eq!((&noted.topic, noted.total_entries), (&was.topic, 3));
        assert_eq!((noted.first_timestamp, noted.last_timestamp), (Some(0.0), Some(2.0)));
        assert_eq!((&noted.columns, noted.size_bytes), (&was.columns, 0));
    }
}
