//! SIGINT and SIGTERM as an orderly end.

use mldash_bridge::ros::StopFlag;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Sets `stop` at the first SIGINT or SIGTERM; tells those in a hurry what is going on.
pub(super) fn stop_on_signals(stop: &StopFlag) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let watch = move || {
        for _ in signals.forever() {
            if stop.is_set() {
                tracing::warn!("still writing what was received; kill -9 would lose it");
            } else {
                tracing::info!("stopping: taking what is queued, closing the tracks");
                stop.stop();
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}
