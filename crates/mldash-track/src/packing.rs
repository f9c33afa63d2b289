//! Packing an experiment's rows with zstd once they are at rest, and unpacking them.

use std::ops::ControlFlow;
#[cfg(feature = "remote")]
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::error::{TrackError, one_line};
use super::experiment::Experiment;
use super::local::Repacked;

/// How the rows of a closed experiment lie on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As lines in `data.jsonl`, which ML-Dash's SDK reads.
    #[default]
    None,
    /// Packed in `data.jsonl.zst`, which this library reads and `zstd -d` unpacks.
    Zstd,
}

impl Experiment {
    /// Packs the rows of every track with zstd: a file `data.jsonl.zst` takes the place of
    /// `data.jsonl`, after both were compared. It is read as before, a range of times without
    /// unpacking the rest. ML-Dash's SDK does not read it. Appending to a track unpacks it again.
    ///
    /// The experiment must not be open for writing, in this process or another. `go_on` is asked now
    /// and then, and may end it: what is not packed by then stays as it is.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use mldash_track::*;
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// for i in 0..1000 {
    ///     exp.tracks("robot/arm").append(fields! { "q": 0.5 }, f64::from(i))?;
    /// }
    /// exp.close()?;
    /// let exp = Experiment::open_read_only("alice/warehouse/run-1", root.path())?;
    /// let packed = exp.pack(|| ControlFlow::Continue(()))?;
    /// assert!(packed.bytes_after < packed.bytes_before);
    /// assert_eq!(exp.tracks("robot/arm").read(&Query::range(5.0..=6.0))?.len(), 2);
    /// exp.unpack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if somebody has it open for writing, or the store can't be listed. What goes wrong with
    /// one track is among the [`problems`](Repacked::problems), and its rows stay as they were.
    pub fn pack(&self, go_on: impl Fn() -> ControlFlow<()>) -> Result<Repacked, TrackError> {
        Ok(self.shared.dir.pack(&|| go_on().is_continue())?)
    }

    /// Unpacks the rows of every track that is [packed](Self::pack). Rows in damaged parts of a
    /// packed file are missing then, and the file is kept beside as `data.jsonl.zst.bad`.
    ///
    /// # Errors
    /// As [`pack`](Self::pack).
    pub fn unpack(&self) -> Result<Repacked, TrackError> {
        Ok(self.shared.dir.unpack()?)
    }

    /// The last part of [`close`](Self::close): packs the rows if the
    /// [options](crate::Options::compress) say so. Rows are safe before, so what goes wrong is only
    /// logged. Ends early in a [hurry](crate::Options::hurry).
    pub fn pack_if_asked(&self) {
        if self.options.compression == Compression::None {
            return;
        }
        let (name, started) = (self.name(), Instant::now());
        let by_hand = || format!("pack them with `mldash_bridge pack {name}`");
        match self.pack(|| self.go_on_packing()) {
            Err(error) => {
                tracing::warn!(
                    "the rows of {name} are not packed: {}; {}",
                    one_line(&error),
                    by_hand()
                );
            }
            Ok(packed) => {
                for problem in &packed.problems {
                    tracing::warn!("{problem}; its rows are not packed; {}", by_hand());
                }
                if packed.is_stopped {
                    tracing::warn!("not all rows of {name} are packed, to end soon; {}", by_hand());
                }
                tracing::info!(
                    "packed {} tracks of {name}: {} bytes are {} now; it took {:.1} s",
                    packed.tracks,
                    packed.bytes_before,
                    packed.bytes_after,
                    started.elapsed().as_secs_f64()
                );
            }
        }
    }

    fn go_on_packing(&self) -> ControlFlow<()> {
        #[cfg(feature = "remote")]
        if self.options.hurry.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
