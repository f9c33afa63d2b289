//! SIGINT and SIGTERM as an orderly end.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::ros::StopFlag;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Signals that come so soon after one another are one: Ctrl-C on `ros2 launch` sends SIGINT from the
/// terminal and from launch.
const SAME_WISH: Duration = Duration::from_secs(2);

/// Sets `stop` at the first SIGINT or SIGTERM; a later one ends it at once, without what is queued.
pub(super) fn stop_on_signals(stop: &StopFlag) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let watch = move || {
        let mut first_at: Option<Instant> = None;
        for _ in signals.forever() {
            match first_at {
                None => {
                    tracing::info!("stopping: taking what is queued, closing the tracks");
                    first_at = Some(Instant::now());
                    stop.stop();
                }
                Some(at) if at.elapsed() < SAME_WISH => {
                    tracing::warn!("still writing what was received; kill -9 would lose it");
                }
                Some(_) => {
                    tracing::warn!("ending at once: what is queued is counted and left out");
                    stop.hurry();
                }
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}
