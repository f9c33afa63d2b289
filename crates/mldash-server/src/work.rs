//! Work that may wait for the disk, on threads of its own. A request's place among the running ones
//! belongs to its work: a client that hangs up ends the request, not what a thread is doing, and must
//! not get another place meanwhile.

use std::sync::Arc;

use super::error::ApiError;
use super::shares::Share;

tokio::task_local! {
    /// The place of the request that is being answered.
    static PLACE: Arc<Share>;
}

/// Answers a request, which holds `place` until it and all work that it began are done.
pub(super) async fn holding<T>(place: Share, answer: impl Future<Output = T>) -> T {
    PLACE.scope(Arc::new(place), answer).await
}

/// Runs `work` on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    // None for what no client asked for.
    let place = PLACE.try_with(Arc::clone).ok();
    let work = move || {
        let done = work();
        drop(place);
        done
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => Err(ApiError::internal(&panicked)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::super::shares::{Refused, Shares};
    use super::super::token::Namespace;
    use super::*;

    /// More than a thread takes to notice something.
    const GENEROUS: Duration = Duration::from_secs(60);

    fn one_of(shares: &Arc<Shares>) -> Result<Share, Refused> {
        let mut share = Share::nothing(shares, &Namespace::new("alice"), true);
        share.grow(1).map(|()| share)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_hangs_up_has_no_other_place_until_its_work_is_done() {
        let places = Shares::new(1);
        let (begun, begins) = sync_channel(1);
        let (end, ends) = sync_channel::<()>(1);
        let work = move || {
            begun.send(()).unwrap();
            // Until the test drops its half.
            let _ = ends.recv();
            Ok(())
        };
        let request = tokio::spawn(holding(one_of(&places).unwrap(), blocking(work)));
        tokio::task::spawn_blocking(move || begins.recv_timeout(GENEROUS).unwrap()).await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert_eq!(one_of(&places).unwrap_err(), Refused::Now);
        drop(end);
        let is_free = async {
            while one_of(&places).is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(GENEROUS, is_free).await.unwrap();
    }

    #[tokio::test]
    async fn a_place_is_free_once_the_answer_is_there_or_the_work_panicked() {
        let places = Shares::new(1);
        holding(one_of(&places).unwrap(), blocking(|| Ok(()))).await.unwrap();
        let panics = || -> Result<(), ApiError> { panic!("in a test") };
        assert!(holding(one_of(&places).unwrap(), blocking(panics)).await.is_err());
        assert!(one_of(&places).is_ok());
    }
}
