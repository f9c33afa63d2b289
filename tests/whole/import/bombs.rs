//! Bags that claim, or unpack to, far more than they are: what they take stays bounded.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::RUN;
use super::raw_mcap::{Claims, PACKINGS, Packing, Raw};

/// What an import may have of memory of its own, whatever the bag.
const LIMIT_BYTES: u64 = 350_000_000;

/// Imports a bag with so much memory.
fn import_within(bag: &Path, mapping: &str, root: &Path) -> Output {
    let config = bag.with_extension("yaml");
    fs::write(&config, mapping).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {}; exec \"$@\"", LIMIT_BYTES >> 10), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_mldash_bridge"));
    command.args(["import", "--json", "--experiment", RUN, "--root"]).arg(root);
    command.arg("--config").arg(config).arg(bag).output().unwrap()
}

/// What comes of an MCAP file of these bytes: its account and what was said.
fn imported(bytes: &[u8]) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bomb.mcap");
    fs::write(&bag, bytes).unwrap();
    let done = import_within(&bag, ALL, &dir.path().join("root"));
    let stderr = String::from_utf8(done.stderr).unwrap();
    let account = serde_json::from_slice(&done.stdout);
    (account.unwrap_or_else(|error| panic!("{error}: {:?} {stderr}", done.status)), stderr)
}

const ALL: &str = "min_free: 0\ntopics: [{topic: /**, stamp: receive}]\n";

fn int(value: i32) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &value.to_le_bytes()].concat()
}

/// A chunk's records: `/n` with one message.
fn one_int(value: i32) -> Raw {
    let mut records = Raw::default();
    records.schema(1, "std_msgs/msg/Int32", "int32 data").channel(1, 1, "/n");
    records.message(1, value as u64, &int(value));
    records
}

fn stored(account: &Value, topic: &str) -> u64 {
    let topics = account["topics"].as_array().unwrap();
    topics.iter().filter(|t| t["topic"] == topic).map(|t| t["stored"].as_u64().unwrap()).sum()
}

#[test]
fn sizes_that_a_chunk_claims_cost_nothing() {
    for packing in PACKINGS {
        for claimed in [1 << 29, 3 << 30, u64::MAX] {
            for claims in [
                Claims { unpacked_bytes: Some(claimed), ..Claims::default() },
                Claims { unpacked_bytes: Some(claimed), crc: Some(0), ..Claims::default() },
                Claims { packed_bytes: Some(claimed), ..Claims::default() },
            ] {
                let mut file = Raw::file();
                file.chunk_that_claims(packing, &one_int(1), claims).chunk(packing, &one_int(2));
                let (account, said) = imported(&file.finish());
                assert!(said.contains("is damaged and left out"), "{packing:?} {claims:?}: {said}");
                assert_eq!(stored(&account, "/n"), 1, "{packing:?} {claims:?}: {said}");
            }
        }
    }
}

/// Zeros, compressed; `before` and `after` them.
fn zeros(before: &[u8], zeros: u64, after: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(before).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..zeros >> 20 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.write_all(after).unwrap();
    encoder.finish().unwrap()
}

/// A file with one chunk of zstd, as it is packed already.
fn packed_chunk(packed: &[u8], unpacked_bytes: u64) -> Raw {
    let mut content = vec![0; 16];
    content.extend(unpacked_bytes.to_le_bytes());
    content.extend([0; 4]);
    content.extend([&4_u32.to_le_bytes()[..], b"zstd"].concat());
    content.extend((packed.len() as u64).to_le_bytes());
    content.extend(packed);
    let mut file = Raw::file();
    file.record(mcap::records::op::CHUNK, &content);
    file
}

#[test]
fn a_chunk_that_unpacks_to_far_more_than_there_is_memory_is_read_a_piece_at_a_time() {
    const ZEROS: u64 = 512 << 20;
    let before = one_int(1);
    // A record that nobody reads, and a message that is larger than any.
    for op in [0x7f, mcap::records::op::MESSAGE] {
        let mut head = before.clone();
        head.record_of_length(op, ZEROS, &[]);
        if op == mcap::records::op::MESSAGE {
            head = before.clone();
            head.record_of_length(op, ZEROS + 22, &[1, 0]).append_bytes(&[0; 20]);
        }
        let mut after = Raw::default();
        after.message(1, 2, &int(2));
        let packed = zeros(head.bytes(), ZEROS, after.bytes());
        assert!(packed.len() < 100_000, "{}", packed.len());
        let unpacked_bytes = (head.len() + after.len()) as u64 + ZEROS;
        let file = packed_chunk(&packed, unpacked_bytes).finish();
        let (account, said) = imported(&file);
        assert_eq!(stored(&account, "/n"), 2, "{said}");
        let dropped = &account["topics"][0]["dropped"];
        let expected = if op == 0x7f { Value::Null } else { 1.into() };
        assert_eq!(dropped.get("too_large").cloned().unwrap_or_default(), expected, "{said}");
        if op != 0x7f {
            assert!(said.contains("larger than 96 MiB"), "{said}");
        }
    }
}

#[test]
fn a_message_that_unpacks_to_far_more_than_there_is_memory_is_undecodable() {
    let bomb = zeros(&[0, 1, 0, 0], 512 << 20, &[]);
    let mut file = Raw::file();
    file.schema(1, "std_msgs/msg/Int32", "int32 data").channel(1, 1, "/n");
    file.message(1, 1, &bomb).message(1, 2, &int(2));
    let (account, said) = imported(&file.finish());
    assert_eq!(stored(&account, "/n"), 1, "{said}");
    assert_eq!(account["topics"][0]["dropped"]["undecodable"], 1, "{said}");
}

#[test]
fn few_bytes_that_stand_for_large_values_are_refused_by_what_they_would_take() {
    // Each byte is a message; each of four bytes is a text; each is an element with a row of its own.
    let part = "\n===\nMSG: a/Part\nuint8 x\n";
    for (definition, each) in
        [("Part[] parts", ""), ("string[] parts", ""), ("Part[] parts", ", each: parts")]
    {
        let definition = format!("{definition}{part}");
        let count = 20_u32 << 20;
        let mut cdr = [&[0, 1, 0, 0][..], &count.to_le_bytes()].concat();
        cdr.resize(
            cdr.len() + count as usize * if definition.contains("string") { 4 } else { 1 },
            0,
        );
        let mut records = Raw::default();
        records.schema(1, "a/msg/Bomb", &definition).channel(1, 1, "/bomb");
        records.message(1, 1, &cdr);
        records.schema(2, "std_msgs/msg/Int32", "int32 data").channel(2, 2, "/n");
        records.message(2, 2, &int(2));
        let dir = tempfile::tempdir().unwrap();
        let bag = dir.path().join("bomb.mcap");
        let mut file = Raw::file();
        file.chunk(Packing::Zstd, &records);
        fs::write(&bag, file.finish()).unwrap();
        let mapping = format!(
            "min_free: 0\ntopics: [{{topic: /bomb, stamp: receive{each}}}, {{topic: /n, stamp: receive}}]\n"
        );
        let done = import_within(&bag, &mapping, &dir.path().join("root"));
        let said = String::from_utf8(done.stderr).unwrap();
        let account: Value =
            serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
        assert_eq!(stored(&account, "/n"), 1, "{said}");
        assert!(said.contains("its row would take more than 128 MiB"), "{said}");
    }
}

#[test]
fn definitions_that_are_made_to_be_large_are_refused() {
    // Thousands of channels of a definition of a thousand columns.
    let fields: String = (0..1000).map(|i| format!("uint8 f{i}\n")).collect();
    let mut records = Raw::default();
    records.schema(1, "a/msg/Wide", &fields);
    for channel in 10..4_000 {
        records.channel(channel, 1, &format!("/wide/{channel}"));
    }
    records.schema(2, "std_msgs/msg/Int32", "int32 data").channel(u16::MAX, 2, "/n");
    records.message(u16::MAX, 2, &int(2));
    // Deeper than any stack.
    let deep = format!("module a {{ module msg {{ struct D {{ {}", "sequence<".repeat(200_000));
    let mut idl = 9_u16.to_le_bytes().to_vec();
    for text in ["a/msg/D", "ros2idl", &deep] {
        idl.extend((text.len() as u32).to_le_bytes());
        idl.extend(text.as_bytes());
    }
    records.record(mcap::records::op::SCHEMA, &idl).channel(9, 9, "/deep");
    let mut file = Raw::file();
    file.chunk(Packing::Zstd, &records);
    let (account, _) = imported(&file.finish());
    assert_eq!(stored(&account, "/n"), 1);
    let refused = account["refused"].as_object().unwrap();
    assert!(refused["/deep"].as_str().unwrap().contains("sequences of sequences"));
    let too_many =
        refused.values().filter(|reason| reason.as_str().unwrap().contains("262144 fields"));
    assert!(too_many.count() > 3_700);
}

#[test]
fn a_database_that_unpacks_to_more_than_there_is_room_for_is_refused_and_the_disk_stays_free() {
    let Some(disk) = crate::small_disk::SmallDisk::mount(128 << 20) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bomb.db3.zstd");
    let head = [b"SQLite format 3\0".as_slice(), &[0x10, 0]].concat();
    File::create(&bag).unwrap().write_all(&zeros(&head, 1 << 30, &[])).unwrap();
    let config = dir.path().join("all.yaml");
    fs::write(&config, ALL).unwrap();
    let import = crate::program::program(["import", "--json", "--experiment", RUN, "--root"]);
    let import = import.arg(dir.path().join("root")).arg("--config").arg(config).arg(&bag);
    let done = import.env("TMPDIR", disk.path().to_str().unwrap()).run();
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("set TMPDIR to another folder"), "{}", done.stderr);
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "the copy is left behind");
}
