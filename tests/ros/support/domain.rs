//! A ROS domain that nobody else on this machine uses, tests of other checkouts included.

use std::fs::File;

/// Highest domain id that leaves DDS its ports on Linux.
const LAST_DOMAIN: u32 = 101;

/// A domain id, held until dropped.
pub struct Domain {
    id: u32,
    _lock: File,
}

impl Domain {
    pub fn take() -> Self {
        let first = std::process::id() % LAST_DOMAIN;
        let ids = (0..LAST_DOMAIN).map(|i| 1 + (first + i) % LAST_DOMAIN);
        let free = ids.into_iter().find_map(|id| {
            let name = std::env::temp_dir().join(format!("mldash_bridge.domain_{id}"));
            let lock = File::create(name).ok()?;
            lock.try_lock().ok().map(|()| Self { id, _lock: lock })
        });
        free.expect("a free ROS domain id; another test run may hold them all")
    }

    pub fn id(&self) -> u32 {
        self.id
    }
}
