//! Microsoft's emulator of Azure's blob store (`azurite`, scripts/azure-server) as a process, behind a proxy of ours that makes faults.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::free_port::start_on_free_port;
use crate::program::Program;
use crate::python::oracle_python;
use crate::request_proxy::RequestProxy;

/// The one container there is.
pub const CONTAINER: &str = "lake";
/// The emulator's own account, and its key, which Microsoft publishes.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running server. It ends when this is dropped; what it holds is in its memory.
pub struct Azure {
    process: Child,
    pub proxy: RequestProxy,
}

impl Azure {
    /// With an empty container; `None` if this machine has no npm to install it with.
    pub fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/azure-server");
        let found = Command::new(script).output().unwrap();
        if !found.status.success() {
            let reason = String::from_utf8_lossy(&found.stderr);
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let server = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let (process, address) = start_on_free_port(|address| {
            let mut command = Command::new(&server);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
            // It knows versions of the protocol up to its own age, and refuses later ones unseen.
            command.args(["--inMemoryPersistence", "--skipApiVersionCheck"]);
            command.args(["--disableTelemetry", "--silent"]);
            command
        });
        let azure = Self { process, proxy: RequestProxy::start(address, |_, _| {}) };
        azure.oracle("create", &[]);
        Some(azure)
    }

    /// The program, with credentials and the endpoint.
    pub fn client(&self, program: Program) -> Program {
        let program = program.args(["--endpoint", &self.endpoint()]);
        self.credentials()
            .into_iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    }

    /// What `tests/oracles/open_azure.py` prints.
    pub fn oracle(&self, what: &str, args: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/open_azure.py");
        let done = Command::new(oracle_python())
            .arg(script)
            .args([what, &self.endpoint(), CONTAINER])
            .args(args)
            .envs(self.credentials())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.proxy.address())
    }

    fn credentials(&self) -> [(&'static str, &'static str); 2] {
        [("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT), ("AZURE_STORAGE_ACCOUNT_KEY", KEY)]
    }
}

impl Drop for Azure {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
