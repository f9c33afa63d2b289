//! The server and those who mean it harm, or are only wrong: refused with a reason, nothing written
//! where it does not belong, others served meanwhile.

mod content;
mod lab;
mod limits;
mod names;

use std::fs;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use serde_json::{Value as Json, json};

use self::lab::{Lab, NODES, TRACKS};
use crate::http::{Client, exchange};
use crate::server::{BOBS_TOKEN, Server, TOKEN};

#[test]
fn only_those_with_a_token_come_in_and_only_to_their_own() {
    let lab = Lab::open(&[]);
    let address = &lab.server.address;
    let request = |authorization: &str| {
        let request =
            format!("GET {TRACKS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n");
        exchange(address, request.as_bytes())
    };
    let basic = format!("Authorization: Basic {TOKEN}\r\n");
    let long = format!("Authorization: Bearer {TOKEN}x\r\n");
    for wrong in ["", "Authorization: Bearer\r\n", "Authorization: Bearer wrong\r\n", &basic, &long]
    {
        let refused = request(wrong);
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"), "{wrong}");
        assert_eq!(refused.header("www-authenticate"), Some("bearer"));
    }
    assert_eq!(request(&format!("authorization: bearer {TOKEN}\r\n")).status, 200);

    let bob = Client::new(address, BOBS_TOKEN);
    let mine = json!({"type": "EXPERIMENT", "name": "mine", "projectSlug": "w"});
    assert_eq!(bob.post(NODES, &mine).status, 403);
    assert_eq!(bob.get(TRACKS).status, 403);
    assert_eq!(
        bob.post(&format!("{TRACKS}/arm/append_batch"), &json!({"entries": []})).status,
        403
    );
    assert_eq!(
        bob.patch("/api/nodes/node~~alice~~w~~run", &json!({"status": "FAILED"})).status,
        403
    );
    assert_eq!(bob.get("/api/nodes/file~~alice~~w~~run~.x/download").status, 403);
    let query = "{ me { username } namespace(slug: \"alice\") { projects { id } } \
                 experimentById(id: \"experiment~~alice~~w~~run\") { id } }";
    let seen = bob.post("/graphql", &json!({"query": query})).json();
    assert_eq!(seen["data"]["me"], json!({"username": "bob"}));
    assert_eq!(
        (&seen["data"]["namespace"], &seen["data"]["experimentById"]),
        (&Json::Null, &Json::Null)
    );

    assert_eq!(
        exchange(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status,
        200
    );
}

#[test]
fn a_token_is_replaced_without_a_restart() {
    let lab = Lab::open(&[]);
    let tokens = Server::token_file(lab.server.root());
    fs::write(tokens, "alice renewed # yesterday's is out\n").unwrap();
    assert_eq!(Client::new(&lab.server.address, "renewed").get(TRACKS).status, 200);
    assert_eq!(lab.alice.get(TRACKS).status, 401);
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let lab = Lab::open(&[]);
    let none = "/api/experiments/experiment~~alice~~w~~other/tracks";
    assert_eq!(lab.alice.get(none).status, 404);
    let entry = json!({"entries": [{"timestamp": 1}]});
    assert_eq!(lab.alice.post(&format!("{none}/arm/append_batch"), &entry).status, 404);
    assert!(!lab.server.root().join("alice/w/other").exists());
    assert_eq!(lab.alice.get("/api/nodes/file~~alice~~w~~run~.none").status, 404);
    assert_eq!(lab.alice.post("/api/experiments/1/logs", &json!({})).status, 404);
    assert_eq!(lab.alice.send("DELETE", "/api/nodes/node~~alice~~w~~run", &[], b"").status, 405);
    assert_eq!(lab.alice.send("PUT", TRACKS, &[], b"").status, 405);
    for params in ["format=xml", "start_timestamp=NaN", "start_timestamp=now"] {
        assert_eq!(lab.alice.get(&format!("{TRACKS}/arm/data?{params}")).status, 400, "{params}");
    }
    let unknown = lab.alice.post("/graphql", &json!({"query": "{ me { password } }"}));
    assert_eq!(
        unknown.json()["errors"][0]["message"],
        "this server has no field `password` of User"
    );
    let cycle = "{ me { ...A } } fragment A on User { ...A }";
    assert!(lab.alice.post("/graphql", &json!({"query": cycle})).json()["errors"].is_array());
    let change = "mutation { deleteEverything }";
    assert!(lab.alice.post("/graphql", &json!({"query": change})).json()["errors"].is_array());
}

#[test]
fn an_experiment_in_another_programs_hands_is_tried_again_later() {
    let lab = Lab::open(&[]);
    let theirs = Experiment::open("alice/w/local", Options::local(lab.server.root())).unwrap();
    theirs.tracks("arm").append(fields! { "x": 1 }, 1.0).unwrap();
    theirs.flush().unwrap();
    let path = "/api/experiments/experiment~~alice~~w~~local/tracks/arm";
    let entry = json!({"entries": [{"timestamp": 2, "x": 2}]});
    let refused = lab.alice.post(&format!("{path}/append_batch"), &entry);
    assert_eq!((refused.status, refused.code().as_str()), (503, "locked"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(lab.alice.get(&format!("{path}/data")).json()["count"], 1, "reads go on");
    theirs.close().unwrap();
    assert_eq!(lab.alice.post(&format!("{path}/append_batch"), &entry).status, 200);
    assert_eq!(lab.alice.get(&format!("{path}/data")).json()["count"], 2);
}
