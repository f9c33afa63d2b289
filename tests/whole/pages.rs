//! The server's pages, without a browser: who gets in, what every answer carries, what is refused, and that what is downloaded
//! is what was recorded.

mod browser;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use serde_json::json;

use crate::http::{Answer, Client, exchange};
use crate::program::program;
use crate::server::{BOBS_TOKEN, Server, TOKEN};

const REPORT: &str = "/report?e=experiment~~alice~~lab~~run";
const DOWNLOADS: &str = "/downloads?e=experiment~~alice~~lab~~run";

/// An experiment with so many rows.
fn record(root: &Path, name: &str, rows: u32) {
    let exp = Experiment::open(name, Options::local(root)).unwrap();
    for i in 0..rows {
        let t = f64::from(i) / 50.0;
        exp.tracks("odom").append(fields! { "x": t.sin(), "y": t.cos() }, 1.75e9 + t).unwrap();
    }
    exp.close().unwrap();
}

/// A server with alice's experiment and bob's.
struct Lab {
    _folder: tempfile::TempDir,
    server: Server,
}

impl Lab {
    fn open(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dash");
        record(&root, "alice/lab/run", 500);
        record(&root, "bob/lab/secret", 5);
        let server = Server::start_with(&root, "127.0.0.1:0", options);
        Self { _folder: folder, server }
    }

    /// A browser's request, with this cookie.
    fn ask(&self, method: &str, path: &str, headers: &[&str], cookie: &str, body: &str) -> Answer {
        let address = &self.server.address;
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: text/html\r\nCookie: {cookie}\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(address, request.as_bytes())
    }

    fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask("GET", path, &[], cookie, "")
    }

    fn own_origin(&self) -> String {
        format!("Origin: http://{}", self.server.address)
    }

    fn try_token(&self, token: &str) -> Answer {
        self.ask("POST", "/login", &[&self.own_origin()], "", &format!("token={token}&next=%2F"))
    }

    /// Logs in, and returns the cookie.
    fn log_in(&self, token: &str) -> String {
        let answer = self.try_token(token);
        assert_eq!(answer.status, 303, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

#[test]
fn a_session_opens_pages_and_no_calls_and_a_token_calls_and_no_pages() {
    let lab = Lab::open(&[]);
    let cookie = lab.log_in(TOKEN);
    let list = lab.get("/", &cookie);
    assert!(list.status == 200 && list.text().contains(">lab/run</a>"), "{}", list.text());
    let tracks = "/api/experiments/experiment~~alice~~lab~~run/tracks";
    assert_eq!(lab.get(tracks, &cookie).status, 401, "no page can make a browser call the server");
    // A program gets what it got before there were pages.
    let alice = Client::new(&lab.server.address, TOKEN);
    for path in ["/", REPORT, "/login"] {
        let answer =
            alice.send("GET", path, &["Accept: text/html", &format!("Cookie: {cookie}")], b"");
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    let wrong = Client::new(&lab.server.address, "wrong").get("/");
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "unauthorized"));
    let address = &lab.server.address;
    let nobody = exchange(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthorized"));
}

#[test]
fn whoever_is_not_logged_in_is_led_to_the_form_and_then_to_where_they_wanted() {
    let lab = Lab::open(&[]);
    let sent = lab.get(REPORT, "mldash_session=unknown");
    assert_eq!(sent.status, 303);
    let login = sent.header("location").unwrap().to_owned();
    assert_eq!(login, "/login?next=%2freport%3fe%3dexperiment%7e%7ealice%7e%7elab%7e%7erun");
    assert!(lab.get(&login, "").text().contains(&format!("name=\"next\" value=\"{REPORT}\"")));
    let cookie = lab.log_in(TOKEN);
    assert_eq!(lab.get(&login, &cookie).header("location"), Some(REPORT), "there is no need to");
    // From another site, the browser keeps the cookie back: a page of ours leads on, with which it is sent.
    let led = lab.ask("GET", REPORT, &["Sec-Fetch-Site: cross-site"], "", "");
    assert_eq!(led.status, 200);
    assert!(led.text().contains("http-equiv=\"refresh\""), "{}", led.text());
    let elsewhere = lab.ask(
        "POST",
        "/login",
        &[&lab.own_origin()],
        "",
        &format!("token={TOKEN}&next=//evil.example"),
    );
    assert_eq!(elsewhere.header("location"), Some("/"));
}

#[test]
fn a_login_needs_the_token_and_a_form_of_ours_and_a_wrong_one_takes_its_time() {
    let lab = Lab::open(&[]);
    let began = Instant::now();
    let wrong = lab.try_token("wrong");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None));
    assert!(began.elapsed() >= Duration::from_secs(1), "guessing is slow");
    assert!(
        wrong.text().contains("not known") && !wrong.text().contains("wrong"),
        "it is not shown"
    );
    for foreign in ["Origin: http://evil.example", "Origin: null", "X-Nothing: there"] {
        let refused = lab.ask("POST", "/login", &[foreign], "", &format!("token={TOKEN}"));
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{foreign}");
        assert!(refused.text().contains("proxy_set_header Host"), "{}", refused.text());
    }
    let large = lab.ask("POST", "/login", &[&lab.own_origin()], "", &"x".repeat(20_000));
    assert_eq!(large.status, 400);
    let cookie = lab.try_token(TOKEN).header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.ends_with("; path=/; httponly; samesite=strict") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    for tls in [
        &["X-Forwarded-Proto: https", &lab.own_origin()][..],
        &["Origin: https://x", "Sec-Fetch-Site: same-origin"],
    ] {
        let answer = lab.ask("POST", "/login", tls, "", &format!("token={TOKEN}"));
        assert!(answer.header("set-cookie").unwrap().ends_with("; secure"), "{tls:?}");
    }
    let stopped = lab.server.terminate();
    assert!(
        !stopped.log.contains(TOKEN) && !stopped.log.contains(&cookie[15..40]),
        "{}",
        stopped.log
    );
}

#[test]
fn whoever_has_a_token_gets_in_while_others_guess() {
    let lab = Lab::open(&[]);
    let wrong = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40).map(|_| scope.spawn(|| lab.try_token("wrong"))).collect();
        for _ in 0..40 {
            lab.log_in(TOKEN);
        }
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect::<Vec<_>>()
    });
    let told = |status: u16| wrong.iter().filter(|answer| answer.status == status).count();
    // How many of them wait for their answer depends on how fast they come.
    assert!(told(403) >= 8 && told(403) + told(429) == 40, "{} and {}", told(403), told(429));
    assert!(wrong.iter().all(|answer| answer.header("set-cookie").is_none()));
}

#[test]
fn a_session_ends_with_its_logout_and_with_its_token() {
    let lab = Lab::open(&[]);
    let (first, second) = (lab.log_in(TOKEN), lab.log_in(TOKEN));
    let foreign = lab.ask("POST", "/logout", &["Origin: http://evil.example"], &first, "");
    assert_eq!((foreign.status, lab.get("/", &first).status), (403, 200));
    let out = lab.ask("POST", "/logout", &[&lab.own_origin()], &first, "");
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").unwrap().contains("max-age=0"));
    assert_eq!(lab.get("/", &first).status, 303, "also for whoever has kept the cookie");
    assert_eq!(lab.get("/", &second).status, 200);
    fs::write(Server::token_file(lab.server.root()), "alice another\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while lab.get("/", &second).status != 303 {
        assert!(Instant::now() < deadline, "the token is gone");
    }
}

#[test]
fn every_answer_to_a_browser_says_what_may_run_and_that_nobody_may_keep_or_frame_it() {
    let lab = Lab::open(&[]);
    let cookie = lab.log_in(TOKEN);
    let file = format!("/downloads/parquet{}&t=odom", &DOWNLOADS["/downloads".len()..]);
    for (path, cookie, status) in [
        ("/login", "", 200),
        ("/", "", 303),
        ("/", &*cookie, 200),
        (REPORT, &cookie, 200),
        (DOWNLOADS, &cookie, 200),
        (&file, &cookie, 200),
        ("/report?e=nothing", &cookie, 404),
        ("/report/state", &cookie, 400),
    ] {
        let answer = lab.get(path, cookie);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'sha256-",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "deny"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    let report = lab.get(REPORT, &cookie).text();
    assert!(
        !report.contains("http-equiv") && report.matches("<script").count() == 3,
        "the document and two scripts"
    );
    assert_eq!(lab.ask("PUT", "/", &[], &cookie, "").status, 405);
}

#[test]
fn nobody_sees_another_namespace_or_leaves_the_root() {
    let lab = Lab::open(&[]);
    let alice = lab.log_in(TOKEN);
    assert!(!lab.get("/", &alice).text().contains("secret"));
    let theirs = "experiment~~bob~~lab~~secret";
    let at = [
        "/report?e=",
        "/report/state?e=",
        "/downloads?e=",
        "/downloads/mcap?e=",
        "/downloads/parquet?t=odom&e=",
    ];
    for path in at {
        assert_eq!(lab.get(&format!("{path}{theirs}"), &alice).status, 403, "{path}");
        for odd in [
            "experiment~~alice~~lab~~..",
            "experiment~~alice~~..~~..~~etc",
            "..%2f..",
            "%2e%2e%2f",
            "experiment~~alice~~lab~~gone",
        ] {
            let status = lab.get(&format!("{path}{odd}"), &alice).status;
            assert_eq!(status, 404, "{path}{odd}");
        }
    }
    assert_eq!(lab.get("/downloads/file?f=file~~bob~~lab~~secret~.x", &alice).status, 403);
    assert_eq!(lab.get("/downloads/file?f=file~~alice~~lab~~run~...~~x", &alice).status, 404);
    assert_eq!(
        lab.get("/report/../api/../../etc/passwd", &alice).status,
        401,
        "there is no such page"
    );
    // A link on the server's disk leads nowhere: neither to an experiment nor to what a report shows beside the rows.
    let root = lab.server.root();
    symlink(root.join("bob/lab/secret"), root.join("alice/lab/link")).unwrap();
    fs::write(root.join("account.json"), r#"{"unmatched": ["/told-by-nobody"]}"#).unwrap();
    symlink("../../../account.json", root.join("alice/lab/run/account.json")).unwrap();
    assert!(!lab.get("/", &alice).text().contains("lab/link"));
    let report = lab.get(REPORT, &alice).text();
    assert!(
        !report.contains("told-by-nobody") && report.contains("account.json can&#39;t be read"),
        "{report}"
    );
    assert!(
        !report.contains(root.to_str().unwrap()),
        "nor does it tell where the server keeps them"
    );
    assert!(lab.get("/", &lab.log_in(BOBS_TOKEN)).text().contains("lab/secret"));
}

#[test]
fn what_is_downloaded_is_what_was_recorded() {
    let lab = Lab::open(&[]);
    let cookie = lab.log_in(TOKEN);
    let root = lab.server.root();
    let parquet = lab.get("/downloads/parquet?e=experiment~~alice~~lab~~run&t=odom", &cookie);
    let read =
        program(["read", "alice/lab/run", "odom", "--format", "parquet", "--strict", "--root"])
            .arg(root)
            .run();
    assert!(parquet.status == 200 && parquet.body == read.stdout);
    assert_eq!(
        parquet.header("content-disposition"),
        Some("attachment; filename=\"run-odom.parquet\"; filename*=utf-8''run%2dodom%2eparquet")
    );
    let mcap = lab.get("/downloads/mcap?e=experiment~~alice~~lab~~run", &cookie);
    let exported = program(["export", "alice/lab/run", "-o", "-", "--root"]).arg(root).run();
    assert_eq!((mcap.status, exported.code), (200, 0), "{}", exported.stderr);
    assert!(mcap.body == exported.stdout);
    assert_eq!(
        lab.get("/downloads/parquet?e=experiment~~alice~~lab~~run&t=none", &cookie).status,
        404
    );
}

#[test]
fn a_download_of_a_file_that_broke_off_goes_on_where_it_was() {
    let lab = Lab::open(&[]);
    let cookie = lab.log_in(TOKEN);
    let exp = Experiment::open("alice/lab/run", Options::local(lab.server.root())).unwrap();
    // Text of a size that is compressed elsewhere.
    let content = "0123456789".repeat(200);
    exp.files("").save_bytes(content.as_str(), "n.txt").unwrap();
    exp.close().unwrap();
    let page = lab.get(DOWNLOADS, &cookie).text();
    let mut links = page.split("href=\"").filter_map(|link| link.split('"').next());
    let path = links.find(|link| link.starts_with("/downloads/file")).unwrap();
    let ask = |headers: &[&str]| lab.ask("GET", path, headers, &cookie, "");
    let whole = ask(&["Accept-Encoding: gzip"]);
    let header = |answer: &Answer, name| answer.header(name).map(str::to_owned);
    assert_eq!((whole.status, &*whole.body), (200, content.as_bytes()));
    assert_eq!(whole.header("content-encoding"), None, "the tag and parts are of the file itself");
    assert_eq!(header(&whole, "accept-ranges").as_deref(), Some("bytes"));
    assert_eq!(header(&whole, "content-length").as_deref(), Some("2000"));
    let tag = whole.header("etag").unwrap();
    let rest = ask(&["Range: bytes=4-", &format!("If-Range: {tag}"), "Accept-Encoding: gzip"]);
    assert_eq!((rest.status, &*rest.body), (206, &content.as_bytes()[4..]));
    assert_eq!(header(&rest, "content-range").as_deref(), Some("bytes 4-1999/2000"));
    assert!(rest.header("content-disposition").unwrap().contains("n.txt"));
    let part = ask(&["Range: bytes=2-3"]);
    assert_eq!((part.status, &*part.body), (206, &b"23"[..]));
    let beyond = ask(&["Range: bytes=2000-"]);
    assert_eq!(
        (beyond.status, header(&beyond, "content-range").as_deref()),
        (416, Some("bytes */2000"))
    );
    let another = ask(&["Range: bytes=4-", "If-Range: \"of-another\""]);
    assert_eq!((another.status, another.body.len()), (200, 2000), "it was replaced meanwhile");
}

#[test]
fn a_state_changes_with_the_rows_and_the_page_with_it() {
    let lab = Lab::open(&[]);
    let cookie = lab.log_in(TOKEN);
    let path = "/report/state?e=experiment~~alice~~lab~~run";
    let state = || lab.get(path, &cookie).json();
    let before = state();
    assert_eq!((&before["isLive"], &before), (&json!(false), &state()));
    let page = lab.get(REPORT, &cookie).text();
    assert!(page.contains(&format!("data-state=\"{}\"", before["state"].as_str().unwrap())));
    // Through the server, as a robot does.
    let alice = Client::new(&lab.server.address, TOKEN);
    let tracks = "/api/experiments/experiment~~alice~~lab~~run/tracks";
    let row = json!({"entries": [{"timestamp": 1.75e9 + 10.0, "x": 7}]});
    assert_eq!(alice.post(&format!("{tracks}/odom/append_batch"), &row).status, 200);
    let after = state();
    assert!(after["isLive"] == true && after["state"] != before["state"], "{after}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !lab.get(REPORT, &cookie).text().contains("<b>501</b> rows") {
        assert!(Instant::now() < deadline, "the row is there");
    }
}

#[test]
fn where_the_memory_does_not_do_for_a_report_that_is_said_and_rows_can_be_downloaded() {
    let lab = Lab::open(&["--max-memory", "64"]);
    let cookie = lab.log_in(TOKEN);
    let refused = lab.get(REPORT, &cookie);
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(refused.text().contains("--max-memory"), "{}", refused.text());
    assert_eq!(lab.get(DOWNLOADS, &cookie).status, 200);
    let parquet = lab.get("/downloads/parquet?e=experiment~~alice~~lab~~run&t=odom", &cookie);
    assert!(parquet.status == 200 && parquet.body.starts_with(b"PAR1"));
}
