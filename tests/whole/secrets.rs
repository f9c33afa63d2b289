//! Who may read what we write: the umask decides, and tokens are in none of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::http::Client;
use crate::program::{Done, Program, program};
use crate::server::{BOBS_TOKEN, Server, TOKEN};

const BAG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sena_lab_loop.mcap");
/// Rows and pictures.
const MAPPING: &str =
    "topics:\n  - topic: /pose\n  - {topic: /camera/image_raw/compressed, blobs: file}\n";
const RUN: &str = "alice/w/run";

/// A robot's folder and a server's.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mapping.yaml"), MAPPING).unwrap();
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, command: &str) -> Program {
        program([command, "--root"]).arg(self.path("robot"))
    }

    fn append(&self) -> Program {
        self.program("append").args([RUN, "arm"]).stdin("{\"_ts\": 1, \"q\": 2}\n")
    }

    fn import(&self) -> Program {
        let import = self.program("import").args(["--experiment", RUN, "--config"]);
        import.arg(self.path("mapping.yaml")).arg(BAG)
    }

    fn sync(&self) -> Program {
        self.program("sync").arg(RUN)
    }
}

/// Every file and folder below `folder`.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        }
        found.push(path);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_and_folders_have_the_permissions_that_the_umask_leaves() {
    for (umask, file_mode, folder_mode) in [("077", 0o600, 0o700), ("002", 0o664, 0o775)] {
        let place = Place::new();
        let token = place.path("token");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
        let server = Server::start_as(&place.path("server"), "127.0.0.1:0", &[], |program| {
            program.umask(umask)
        });
        for program in [place.append(), place.import(), place.sync()] {
            let uploading = program.arg("--remote").arg(server.url()).arg("--token-file");
            let done = uploading.arg(&token).umask(umask).run();
            assert_eq!(done.code, 0, "{}", done.stderr);
        }
        let exported = place.path("robot/arm.parquet");
        let read = place.program("read").args([RUN, "arm", "-o"]).arg(&exported);
        let done = read.umask(umask).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        let client = Client::new(&server.address, TOKEN);
        let id = format!("experiment~~{}", RUN.replace('/', "~~"));
        let path = format!("/api/experiments/{id}/tracks/arm/append");
        let row = json!({"timestamp": 2, "data": {"q": 3}});
        assert_eq!(client.post(&path, &row).status, 200);
        // While the server has its files open, and when it has closed them.
        let mut server = Some(server);
        for is_running in [true, false] {
            if !is_running {
                assert!(server.take().unwrap().terminate().status.success());
            }
            let mut found = Vec::new();
            below(&place.path("robot"), &mut found);
            below(&place.path("server"), &mut found);
            assert!(found.iter().any(|path| path.extension().is_some_and(|ext| ext == "jpg")));
            for path in found {
                let expected = if path.is_dir() { folder_mode } else { file_mode };
                let what = format!("umask {umask}, running {is_running}: {}", path.display());
                assert_eq!(format!("{:o}", mode(&path)), format!("{expected:o}"), "{what}");
            }
        }
        assert_eq!(mode(&token), 0o640, "a token file is only read");
    }
}

#[test]
fn a_token_is_in_no_file_and_no_output_of_ours_whatever_goes_wrong() {
    const STRANGER: &str = "str4nger-s3cret";
    const PASSWORD: &str = "p4ss-s3cret";
    let place = Place::new();
    let root = place.path("server");
    let server = Server::start(&root);
    let url = server.url();
    fs::write(place.path("stranger"), STRANGER).unwrap();
    fs::write(place.path("binary"), format!("{STRANGER}\n\u{1}\n{STRANGER}\n")).unwrap();
    let mut said = Vec::new();
    let mut keep = |done: Done, codes: &[i32]| {
        assert!(codes.contains(&done.code), "{}: {}", done.code, done.stderr);
        said.push(done.stderr.into_bytes());
        said.push(done.stdout);
    };
    let to = |program: Program, token: &str| {
        program.args(["--remote", &url, "--token-file"]).arg(place.path(token))
    };
    keep(to(place.append(), "token").run(), &[0]);
    keep(to(place.import(), "token").run(), &[0]);
    keep(to(place.sync(), "token").args(["--json"]).run(), &[0]);
    keep(place.sync().args(["--remote", &url]).env("ML_DASH_API_KEY", TOKEN).run(), &[0]);
    // A token that the server does not know, one that can't be one, an address with a password, nobody there.
    let few = |program: Program| program.env("ML_DASH_MAX_RETRIES", "1");
    keep(few(to(place.sync(), "stranger")).run(), &[1]);
    keep(few(to(place.append(), "stranger")).run(), &[3]);
    keep(few(to(place.sync(), "binary")).run(), &[1, 2]);
    keep(few(place.sync().args(["--remote", &url])).env("ML_DASH_API_KEY", STRANGER).run(), &[1]);
    for address in [
        format!("http://alice:{PASSWORD}@{}", server.address),
        format!("http://{PASSWORD}@{}", server.address),
        format!("htp://alice:{PASSWORD}@{}", server.address),
        format!("alice:{PASSWORD}@{}", server.address),
        format!("{url}/?token={PASSWORD}"),
    ] {
        let sync = few(place.sync()).args(["--remote", &address]).env("ML_DASH_API_KEY", TOKEN);
        keep(sync.run(), &[1, 2]);
    }
    let nobody = few(place.sync()).args(["--remote", "http://127.0.0.1:9"]);
    keep(nobody.env("ML_DASH_API_KEY", TOKEN).run(), &[1]);
    // The server: tokens in the wrong places of requests, then a token file that has become unusable.
    let client = Client::new(&server.address, STRANGER);
    assert_eq!(client.get("/api/search/files").status, 401);
    let client = Client::new(&server.address, TOKEN);
    let wrong = client.get(&format!("/api/search/files?token={STRANGER}"));
    said.push(wrong.body);
    let foreign =
        client.post("/api/namespaces/bob/nodes", &json!({"type": "PROJECT", "name": "x"}));
    assert_eq!(foreign.status, 403, "{}", foreign.text());
    said.push(foreign.body);
    let tokens = Server::token_file(&root);
    for lines in [
        format!("{STRANGER}\n"),
        format!("alice {STRANGER} {STRANGER}\n"),
        // The wrong way round.
        format!("{STRANGER}/x alice\n"),
    ] {
        fs::write(&tokens, lines).unwrap();
        let second = program(["serve", "--listen", "127.0.0.1:0", "--root"]);
        let second = second.arg(place.path("second")).arg("--token-file").arg(&tokens).run();
        assert_eq!(second.code, 2, "{}", second.stderr);
        said.push(second.stderr.into_bytes());
    }
    // The running server has seen the last of them when it says so.
    let stopped = server.terminate();
    said.push(stopped.log.into_bytes());

    let secrets = [TOKEN, BOBS_TOKEN, STRANGER, PASSWORD];
    let mut files = Vec::new();
    for folder in ["robot", "server", "second"].map(|name| place.path(name)) {
        if folder.exists() {
            below(&folder, &mut files);
        }
    }
    files.retain(|path| path.is_file());
    assert!(files.len() > 15 && said.len() > 25, "{files:?}");
    for secret in secrets {
        let holds =
            |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        for file in &files {
            assert!(!holds(&fs::read(file).unwrap()), "{secret} is in {}", file.display());
            assert!(!file.to_str().unwrap().contains(secret), "{}", file.display());
        }
        for text in &said {
            assert!(!holds(text), "{secret} was said: {}", String::from_utf8_lossy(text));
        }
    }
}
