//! Bags that are cut off or damaged: what can be read of them is imported, and nothing that is not right.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mldash_bridge::bag::Bags;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;
use mldash_bridge::record::{Account, Recorder};
use mldash_bridge::track::{Experiment, Options};
use proptest::prelude::*;
use rusqlite::Connection;

use super::{BAG, CONFIG, RUN, account, import, rows, tracks, tracks_of_the_bag};
use crate::account::received;

#[test]
fn a_cut_off_bag_is_imported_up_to_the_cut_which_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(BAG).unwrap();
    let mut last = 0;
    for (i, tenths) in [1, 5, 8].into_iter().enumerate() {
        let bag = dir.path().join(format!("cut_{i}.mcap"));
        let root = dir.path().join(format!("root_{i}"));
        fs::write(&bag, &whole[..whole.len() * tenths / 10]).unwrap();
        let done = import(&[&bag], Path::new(CONFIG), &root);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains("is cut off at byte"), "{}", done.stderr);
        let account = account(&done);
        assert_eq!(account["complete"], false);
        let scans = received(&account, "/scan");
        assert!(scans > last && scans < 225, "{scans} after {last}");
        last = scans;
    }
}

#[test]
fn of_a_damaged_bag_all_but_the_damaged_chunk_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tracks_of_the_bag(dir.path());
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let whole = lines(&whole["robot/scan"]);
    for tenths in [4, 7] {
        let mut bytes = fs::read(BAG).unwrap();
        let damaged_at = bytes.len() * tenths / 10;
        bytes[damaged_at] ^= 0x10;
        let bag = dir.path().join(format!("damaged_{tenths}.mcap"));
        let root = dir.path().join(format!("root_{tenths}"));
        fs::write(&bag, bytes).unwrap();
        let done = import(&[&bag], Path::new(CONFIG), &root);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains("is damaged and left out"), "{}", done.stderr);
        assert_eq!(account(&done)["complete"], false);
        let scans = lines(&tracks(&root)["robot/scan"]);
        assert!(scans.len() < whole.len());
        assert!(scans.iter().all(|scan| whole.contains(scan)), "a row is not one of the whole bag");
        assert!(scans.last() == whole.last(), "what comes after the chunk is not there");
    }
}

/// A small bag of texts that are told apart, in MCAP.
fn mcap_bytes(options: mcap::WriteOptions) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut bag = options.create(&mut bytes).unwrap();
    let schema = bag.add_schema("std_msgs/msg/String", "ros2msg", b"string data\n").unwrap();
    let channel_id = bag.add_channel(schema, "/chatter", "cdr", &Default::default()).unwrap();
    for number in 0..MESSAGES {
        let log_time = 1_000_000_000 + number;
        let header =
            mcap::records::MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 };
        bag.write_to_known_channel(&header, &text_message(number)).unwrap();
    }
    bag.finish().unwrap();
    drop(bag);
    bytes.into_inner()
}

const MESSAGES: u64 = 300;

fn text(number: u64) -> String {
    // Of lengths that don't fit in a page of SQLite, at times.
    format!("{number}:{}", "0123456789".repeat((number as usize * 37) % 900))
}

fn text_message(number: u64) -> Vec<u8> {
    let text = text(number);
    let mut cdr = vec![0, 1, 0, 0];
    cdr.extend((text.len() as u32 + 1).to_le_bytes());
    cdr.extend(text.as_bytes());
    cdr.push(0);
    cdr
}

/// The same in rosbag2's SQLite tables.
fn sqlite_bytes() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bag.db3");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
             serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
         CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL,
             encoding TEXT NOT NULL, encoded_message_definition TEXT NOT NULL);
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
             timestamp INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);
         INSERT INTO topics VALUES (1, '/chatter', 'std_msgs/msg/String', 'cdr', '');
         INSERT INTO message_definitions VALUES (1, 'std_msgs/msg/String', 'ros2msg', 'string data');",
    )
    .unwrap();
    for number in 0..MESSAGES {
        let row = (1_000_000_000 + number as i64, text_message(number));
        let insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?1, ?2)";
        db.execute(insert, row).unwrap();
    }
    drop(db);
    fs::read(path).unwrap()
}

/// What comes of a bag of these bytes: whether all was there, the account, and the texts.
fn imported(bytes: &[u8], decoders: usize) -> (bool, Account, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("bag");
    fs::write(&path, bytes).unwrap();
    let root = dir.path().join("root");
    let mapping = "topics: [{topic: /chatter, stamp: receive}]";
    let mapping = Mapping::parse(mapping, "test.yaml").unwrap();
    let mut recorder = Recorder::new(Experiment::open(RUN, Options::local(&root)).unwrap());
    let whole = Bags::open([&path]).is_ok_and(|bags| {
        let definitions = Definitions::default();
        let go_on = |_| std::ops::ControlFlow::Continue(());
        bags.decoders(decoders).import(&mapping, &definitions, &mut recorder, go_on).is_ok()
    });
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up());
    // In SQLite, which has no checksums, damage can be in the name of the field.
    let text = |row: &mldash_bridge::track::Row| format!("{:?}", row.fields.get("data"));
    let texts = rows(&root, "chatter").iter().map(text).collect();
    (whole, account, texts)
}

fn all_texts() -> Vec<String> {
    let text = |n| format!("{:?}", Some(mldash_bridge::track::Value::from(text(n))));
    (0..MESSAGES).map(text).collect()
}

static BAGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let options = || mcap::WriteOptions::new().chunk_size(Some(64 << 10));
    vec![
        mcap_bytes(options().compression(Some(mcap::Compression::Zstd))),
        mcap_bytes(options().compression(Some(mcap::Compression::Lz4))),
        mcap_bytes(options().compression(None)),
        mcap_bytes(options().use_chunks(false)),
        sqlite_bytes(),
        zstd::encode_all(sqlite_bytes().as_slice(), 1).unwrap(),
        zstd::encode_all(mcap_bytes(options().compression(None)).as_slice(), 1).unwrap(),
    ]
});

const SQLITE_BAGS: [usize; 2] = [4, 5];

#[test]
fn these_bags_are_whole_before_they_are_cut() {
    for bag in &*BAGS {
        let (whole, _, texts) = imported(bag, 1);
        assert!(whole && texts == all_texts());
    }
}

/// A bag with one bit wrong.
fn flipped(bag: usize, part: f64, bit: u32) -> Vec<u8> {
    let mut bytes = BAGS[bag].clone();
    let at = (bytes.len() as f64 * part) as usize;
    bytes[at] ^= 1 << bit;
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_bag_that_is_cut_anywhere_gives_messages_from_before_the_cut(
        bag in 0_usize..7,
        part in 0.0_f64..1.0,
        decoders in 0_usize..3,
    ) {
        let bytes = &BAGS[bag];
        let cut = (bytes.len() as f64 * part) as usize;
        let (whole, _, texts) = imported(&bytes[..cut], decoders);
        let all = all_texts();
        if SQLITE_BAGS.contains(&bag) {
            // Its pages don't lie in the order of its messages: one that is gone may be before some
            // that are there.
            let mut rest = all.iter();
            let strange = texts.iter().find(|text| !rest.any(|known| known == *text));
            prop_assert!(strange.is_none(), "bag {bag} cut at {cut}: {strange:?}");
        } else {
            let is_start = texts.len() <= all.len() && texts == all[..texts.len()];
            prop_assert!(is_start, "bag {bag} cut at {cut}: {}", texts.len());
        }
        // Behind the last message there is only what repeats and indexes.
        prop_assert!(!whole || texts.len() == MESSAGES as usize);
    }

    #[test]
    fn a_damaged_mcap_bag_with_checksums_gives_only_messages_that_are_in_it(
        bag in 0_usize..3,
        part in 0.0_f64..1.0,
        bit in 0_u32..8,
    ) {
        let (_, _, texts) = imported(&flipped(bag, part, bit), 1);
        let all = all_texts();
        let strange = texts.iter().find(|text| !all.contains(text));
        prop_assert!(strange.is_none(), "bag {bag} at {part}, bit {bit}: {strange:?}");
    }

    #[test]
    fn a_damaged_bag_of_any_kind_never_panics(
        bag in 0_usize..7,
        part in 0.0_f64..1.0,
        bit in 0_u32..8,
    ) {
        imported(&flipped(bag, part, bit), 1);
    }
}

#[test]
fn where_the_damaged_chunk_has_the_definitions_the_summary_serves() {
    for bag in 0..3 {
        let mut bytes = BAGS[bag].clone();
        // Behind the head of the first chunk.
        bytes[500] ^= 1;
        let (whole, _, texts) = imported(&bytes, 1);
        let all = all_texts();
        assert!(!whole && texts.len() > 100 && texts.len() < all.len(), "{}", texts.len());
        assert!(all.ends_with(&texts), "bag {bag}");
    }
}

#[test]
fn a_damaged_page_of_a_sqlite_bag_costs_what_is_on_it_and_its_place_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = BAGS[4].clone();
    // In the middle, a page of rows (<https://sqlite.org/fileformat2.html>).
    let is_page_of_rows = |page: &usize| bytes[page * 4096] == 0x0d;
    let page = (bytes.len() / 4096 / 2..).find(is_page_of_rows).unwrap();
    bytes[page * 4096..][..4096].fill(0xff);
    let bag = dir.path().join("bag.db3");
    fs::write(&bag, &bytes).unwrap();
    let config = dir.path().join("m.yaml");
    fs::write(&config, "topics: [{topic: /chatter, stamp: receive}]").unwrap();
    let done = import(&[&bag], &config, &dir.path().join("root"));
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("bag.db3 after message "), "{}", done.stderr);
    let texts = rows(&dir.path().join("root"), "chatter");
    assert!(texts.len() > 250 && texts.len() < MESSAGES as usize, "{}", texts.len());
    let last = texts.last().unwrap().ts.as_secs();
    assert!(
        (last - (1.0 + 299e-9)).abs() < 1e-12,
        "what comes after the page is not there: {last}"
    );
}
