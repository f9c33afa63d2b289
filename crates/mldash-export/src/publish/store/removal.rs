//! Many objects removed at once: S3 takes a thousand in one request.

use futures_util::{StreamExt, stream};
use object_store::Error as StoreError;

use super::Store;
use crate::publish::error::PublishError;

/// What one request removes, at most.
pub(in crate::publish) const AT_ONCE: usize = 1000;

impl Store {
    /// Removes objects, whether they are there or not.
    pub(in crate::publish) fn delete_all(&self, names: &[String]) -> Result<(), PublishError> {
        for names in names.chunks(AT_ONCE) {
            self.check_stop()?;
            let places: Vec<_> = names.iter().map(|name| Ok(self.layout.place(name))).collect();
            self.count();
            let deleted = self.objects.delete_stream(stream::iter(places).boxed()).collect();
            let answers: Vec<Result<_, StoreError>> = match self.unless_stopped(deleted) {
                Ok(answers) => answers,
                Err(_stopped) => return Err(PublishError::Stopped),
            };
            let is_gone = |answer: &Result<_, StoreError>| {
                matches!(answer, Ok(_) | Err(StoreError::NotFound { .. }))
            };
            if answers.len() < names.len() || !answers.iter().all(is_gone) {
                // Some are gone; which ones is not said in every case. One by one, they are tried again as all requests are.
                names.iter().try_for_each(|name| self.delete(name))?;
            }
        }
        Ok(())
    }
}
