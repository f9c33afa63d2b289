//! stdin that also ends at SIGINT and SIGTERM, so that what was read is stored as if the input had
//! ended there.

use std::io::{self, BufReader, PipeReader, Read, stdin};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// stdin until its end or a signal.
pub(crate) fn until_stopped() -> io::Result<BufReader<Stdin>> {
    let (stopped, by_signal) = io::pipe()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, by_signal.try_clone()?)?;
    }
    Ok(BufReader::with_capacity(1 << 16, Stdin { stopped }))
}

/// Unbuffered.
#[derive(Debug)]
pub(crate) struct Stdin {
    /// Readable once a signal came.
    stopped: PipeReader,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = stdin();
        let mut ready =
            [PollFd::new(&self.stopped, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        // A signal interrupts the wait; the caller then reads again, as readers do.
        poll(&mut ready, None)?;
        if ready[0].revents().is_empty() { Ok(rustix::io::read(&stdin, buffer)?) } else { Ok(0) }
    }
}
