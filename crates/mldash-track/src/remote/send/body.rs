//! The body of a server's answer, read in parts: never more of it than is wanted, and not for ever, however slowly a
//! server sends it.

use std::time::{Duration, Instant};

use reqwest::Response;
use tokio::time::timeout;

use crate::error::one_line;
use crate::remote::error::{CallError, Fault};

/// The minimum bandwidth of an answer.
const SLOWEST_BYTES_PER_SEC: u64 = 1 << 10;

/// What is left of an answer's body.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    response: Response,
    /// How long a part may take.
    timeout: Duration,
    pace: Pace,
}

/// How fast an answer comes. Only the waits for its parts count: what the reader does in between takes as long as it takes.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl AnswerBody {
    /// Each part may take `timeout`.
    pub(super) fn of(response: Response, timeout: Duration) -> Self {
        Self { response, timeout, pace: Pace::default() }
    }

    /// The next part; `None` at the end.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        let asked = Instant::now();
        let part = timeout(self.timeout, self.response.chunk()).await;
        let part = part.map_err(|_| timed_out(self.timeout))?;
        let part = part.map_err(|error| CallError::new(Fault::Unreachable, one_line(&error)))?;
        if let Some(part) = &part
            && self.pace.is_too_slow(asked.elapsed(), part.len(), 2 * self.timeout)
        {
            let text = format!("the answer comes at less than {SLOWEST_BYTES_PER_SEC} bytes/s");
            return Err(CallError::new(Fault::TimedOut, text));
        }
        Ok(part.map(|bytes| bytes.to_vec()))
    }

    /// All of it, which may have `max_bytes`.
    pub(super) async fn whole(mut self, max_bytes: usize) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(part) = self.next_part().await? {
            body.extend_from_slice(&part);
            if body.len() > max_bytes {
                return Err(CallError::new(Fault::Server, "the answer is too large"));
            }
        }
        Ok(body)
    }

    /// Up to `max_bytes` of it, as far as they come before the timeout. The rest is not read.
    pub(super) async fn beginning(mut self, max_bytes: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let time = self.timeout;
        let read = async {
            while body.len() < max_bytes
                && let Ok(Some(part)) = self.next_part().await
            {
                body.extend_from_slice(&part);
            }
        };
        // What came by then is enough.
        let _ = timeout(time, read).await;
        body.truncate(max_bytes);
        body
    }
}

impl Pace {
    /// Notes a part. Returns true if too little came in `span` of waiting.
    fn is_too_slow(&mut self, waited: Duration, bytes: usize, span: Duration) -> bool {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < span {
            return false;
        }
        let Self { waited, bytes } = std::mem::take(self);
        (bytes as f64) < waited.as_secs_f64() * SLOWEST_BYTES_PER_SEC as f64
    }
}

/// The error for a server that was silent for so long.
pub(super) fn timed_out(timeout: Duration) -> CallError {
    CallError::new(Fault::TimedOut, format!("no answer in {} s", timeout.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    #[test]
    fn a_server_that_drips_is_too_slow_and_one_that_pauses_is_not() {
        let after = |parts: &[(u64, usize)]| {
            let mut pace = Pace::default();
            let slow = |(secs, bytes): &(u64, usize)| {
                pace.is_too_slow(Duration::from_secs(*secs), *bytes, SPAN)
            };
            parts.iter().position(slow)
        };
        assert_eq!(after(&[(29, 1); 10]), Some(2));
        let begins_fast = [&[(0, 1_000_000)][..], &[(29, 1); 9]].concat();
        assert_eq!(after(&begins_fast), Some(6));
        assert_eq!(after(&[(29, 60_000); 1000]), None);
        assert_eq!(after(&[(0, 1); 1000]), None, "it is always there when it is asked for");
    }
}
