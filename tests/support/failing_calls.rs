//! A disk on which some call fails, for programs under test: `failing_calls.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rustix::io::Errno;

use crate::program::Program;

/// Which calls below a folder fail, and how.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// One fails, and the next is fine again.
    OneError,
    /// From one on, all fail, as on a file system that was remounted read-only.
    ReadOnly,
    /// From one on, all that take space fail; of a write, half may have gone through.
    Full,
    /// One sync fails; nothing else counts.
    Sync,
    /// From one on, no sync is possible, as on some network file systems.
    SyncUnsupported,
}

impl Fault {
    /// Those of disks.
    pub const ALL: [Self; 3] = [Self::OneError, Self::ReadOnly, Self::Full];

    /// Which calls count.
    fn calls(self) -> &'static str {
        match self {
            Self::OneError | Self::ReadOnly => "all",
            Self::Full => "space",
            Self::Sync | Self::SyncUnsupported => "sync",
        }
    }

    fn errno(self) -> Errno {
        match self {
            Self::OneError | Self::Sync => Errno::IO,
            Self::ReadOnly => Errno::ROFS,
            Self::Full => Errno::NOSPC,
            Self::SyncUnsupported => Errno::OPNOTSUPP,
        }
    }
}

/// Those of one program below `root`, of which the one numbered `at`, from 1, is the first to fail; with 0 none does.
pub struct FailingCalls<'a> {
    pub root: &'a Path,
    pub fault: Fault,
    pub at: u64,
}

impl FailingCalls<'_> {
    /// Whether this machine can do it, which is said if not.
    pub fn are_possible() -> bool {
        let possible = SHIM.is_some();
        if !possible {
            eprintln!("skipped: calls are made to fail on Linux on x86-64 only");
        }
        possible
    }

    /// `program` with these.
    pub fn of(&self, program: Program) -> Program {
        let until = match self.fault {
            Fault::OneError | Fault::Sync => self.at,
            Fault::ReadOnly | Fault::Full | Fault::SyncUnsupported => u64::MAX >> 1,
        };
        program
            .env("LD_PRELOAD", SHIM.as_deref().unwrap())
            .env("FAILING_ROOT", self.root)
            .env("FAILING_CALLS", self.fault.calls())
            .env("FAILING_AT", self.at.to_string())
            .env("FAILING_UNTIL", until.to_string())
            .env("FAILING_ERRNO", self.fault.errno().raw_os_error().to_string())
            .env("FAILING_REPORT", self.report())
    }

    /// How many calls there were, once the program has ended.
    pub fn count(&self) -> u64 {
        fs::read_to_string(self.report()).unwrap().trim().parse().unwrap()
    }

    fn report(&self) -> PathBuf {
        self.root.with_extension("calls")
    }
}

static SHIM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/failing_calls.c");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Under a name of its own first: test programs run side by side.
    let own = tempfile::Builder::new().suffix(".so").tempfile_in(folder).unwrap();
    let flags = ["-std=gnu11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"];
    let done =
        Command::new("cc").args(flags).arg("-o").arg(own.path()).arg(source).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shim = folder.join("failing_calls.so");
    own.persist(&shim).unwrap();
    Some(shim)
});
