//! The built program, run as a shell would: arguments and stdin in; status, stdout and stderr out.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `mldash_bridge` with arguments, ready to run. No `ML_DASH_…` variable of this machine reaches it.
///
/// ```ignore
/// let done = program(["append", "alice/w/run", "arm"]).stdin(r#"{"_ts": 1, "q": 2}"#).run();
/// assert_eq!(done.code, 0, "{}", done.stderr);
/// ```
pub struct Program {
    command: Command,
    stdin: Vec<u8>,
}

/// What a program left when it ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Data, as it was written.
    pub stdout: Vec<u8>,
    /// Logs and complaints.
    pub stderr: String,
}

/// `mldash_bridge` with `args`.
pub fn program<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ML_DASH_") {
            command.env_remove(name);
        }
    }
    Program { command, stdin: Vec::new() }
}

impl Program {
    /// One more argument, for those that are not text.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// What it reads on stdin; without, stdin is empty.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder that it runs in.
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// With a limit of open files, as `ulimit` takes it: `-n 64`, or `-Sn 64` for the soft one alone.
    pub fn open_files(self, limit: &str) -> Self {
        self.after(&format!("ulimit {limit}"))
    }

    /// With this umask, in octal.
    pub fn umask(self, umask: &str) -> Self {
        self.after(&format!("umask {umask}"))
    }

    /// Bound by the permissions of files, also if root runs the tests.
    pub fn without_privileges(self) -> Self {
        self.after(
            r#"[ "$(id -u)" != 0 ] || exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@""#,
        )
    }

    /// What a shell does before it becomes the program.
    fn after(mut self, shell: &str) -> Self {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")]);
        limited.arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        self.command = limited;
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Done {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // It may end without reading everything; that is for its status to say.
            scope.spawn(move || drop(stdin.write_all(&self.stdin)));
            child.wait_with_output().unwrap()
        });
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it with its pipes in the caller's hands, for programs that run until they are told.
    pub fn start(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().unwrap()
    }
}

impl Done {
    /// stdout as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}
