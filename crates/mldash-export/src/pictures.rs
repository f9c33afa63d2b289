//! The pictures of a batch of frames: read, decoded, counted and made into what is stored, on several threads.

use std::sync::Arc;
use std::thread;

use crate::dataset_schema::PictureColumn;
use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::picture::{self, FileFormat, PictureError, Pixels};
use crate::recipe::PictureStorage;
use crate::stats::PixelCounts;

/// A picture that is needed, in so many frames.
pub(crate) struct Wanted {
    /// Which of the dataset's pictures it is for: a place in the list of columns.
    pub(crate) column: usize,
    pub(crate) file: String,
    pub(crate) frames: u64,
    /// The first of those frames, in seconds.
    pub(crate) secs: f64,
}

/// A picture as it is stored.
#[derive(Clone)]
pub(crate) enum Stored {
    File { bytes: Arc<[u8]>, format: FileFormat },
    Frame(Arc<Pixels>),
}

/// A picture feature, and the size of its pictures if the recipe has one.
pub(crate) struct PictureFeature<'a> {
    pub(crate) name: &'a str,
    pub(crate) column: &'a PictureColumn,
    pub(crate) is_resized: bool,
}

impl RecordedFiles {
    /// What the pictures are stored as, in the order of `wanted`, on so many threads. Their pixels are added to `counts`,
    /// by column.
    pub(crate) fn store(
        &self,
        wanted: &[Wanted],
        features: &[PictureFeature<'_>],
        counts: &mut [PixelCounts],
        threads: usize,
    ) -> Result<Vec<Stored>, ExportError> {
        let share = wanted.len().div_ceil(threads.max(1)).max(1);
        if wanted.len() <= share {
            return self.store_share(wanted, features, counts);
        }
        let shares = thread::scope(|scope| {
            let work = |share| {
                let mut own: Vec<PixelCounts> =
                    features.iter().map(|feature| PixelCounts::new(feature.column.shape)).collect();
                scope.spawn(move || {
                    let stored = self.store_share(share, features, &mut own)?;
                    Ok::<_, ExportError>((stored, own))
                })
            };
            let running: Vec<_> = wanted.chunks(share).map(work).collect();
            running.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut all = Vec::with_capacity(wanted.len());
        for share in shares {
            let panicked = |_| ExportError::Thread("while it decoded pictures".to_owned());
            let (stored, own) = share.map_err(panicked)??;
            all.extend(stored);
            counts.iter_mut().zip(&own).for_each(|(counts, own)| counts.merge(own));
        }
        Ok(all)
    }

    fn store_share(
        &self,
        wanted: &[Wanted],
        features: &[PictureFeature<'_>],
        counts: &mut [PixelCounts],
    ) -> Result<Vec<Stored>, ExportError> {
        let mut all = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let (Some(feature), Some(counts)) =
                (features.get(wanted.column), counts.get_mut(wanted.column))
            else {
                // Left out, it would shift all that follow.
                return Err(ExportError::Thread(format!("{} belongs to no feature", wanted.file)));
            };
            let file = self.read(&wanted.file)?;
            let wrong = |source| self.unusable(feature.name, wanted, source);
            let (pixels, stored) = store(file, feature).map_err(wrong)?.map_err(|reason| {
                let (experiment, feature) = (self.experiment().to_owned(), feature.name.to_owned());
                let reason = format!("the picture {} {reason}", wanted.file);
                ExportError::Value { experiment, feature, secs: wanted.secs, reason }
            })?;
            counts.add(&pixels, wanted.frames);
            all.push(stored);
        }
        Ok(all)
    }

    pub(crate) fn unusable(
        &self,
        feature: &str,
        wanted: &Wanted,
        source: PictureError,
    ) -> ExportError {
        ExportError::Picture {
            experiment: self.experiment().to_owned(),
            feature: feature.to_owned(),
            secs: wanted.secs,
            file: wanted.file.clone(),
            source,
        }
    }
}

/// The pixels of a picture as stored, and what is stored; or how it differs from those before.
fn store(
    file: Vec<u8>,
    feature: &PictureFeature<'_>,
) -> Result<Result<(Arc<Pixels>, Stored), String>, PictureError> {
    let PictureColumn { shape, storage } = feature.column;
    let decoded = picture::decode(&file)?;
    let found = decoded.pixels.shape;
    let mut pixels = decoded.pixels;
    if feature.is_resized {
        pixels = picture::resized(pixels, (shape.height, shape.width))?;
    }
    if *storage == PictureStorage::Video {
        pixels = pixels.into_colors();
    }
    if pixels.shape != *shape {
        let size = if feature.is_resized { "" } else { "; `size` in the recipe makes them equal" };
        return Ok(Err(format!("is {found}, and the feature is {shape}{size}")));
    }
    let pixels = Arc::new(pixels);
    let stored = match storage {
        PictureStorage::Video => Stored::Frame(pixels.clone()),
        PictureStorage::Image if decoded.is_plain && found == *shape => {
            Stored::File { bytes: file.into(), format: decoded.format }
        }
        PictureStorage::Image => {
            let bytes = picture::encode(&pixels, decoded.format)?.into();
            Stored::File { bytes, format: decoded.format }
        }
    };
    Ok(Ok((pixels, stored)))
}
