//! Packed files that are damaged, and disks that are full.

use std::fs;

use super::{RUN, done, pack, packed_file, plain_file, record, run, tracks};
use crate::program::program;
use crate::small_disk::SmallDisk;

#[test]
fn a_flipped_byte_costs_its_frame_which_is_named_and_the_damaged_file_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..400).collect::<Vec<_>>());
    let before: Vec<String> = tracks(root)["robot/arm"].lines().map(str::to_owned).collect();
    pack(root);
    let path = packed_file(root, "robot_arm");
    let whole = fs::read(&path).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let index = path.with_file_name(".index.json");
    let indexed = fs::read(&index).unwrap();
    let mut hit = whole.clone();
    let at = hit.len() / 2;
    hit[at] ^= 0x10;
    // Seen by its time, and as a bad disk does it.
    for is_unseen in [false, true] {
        fs::write(&path, &hit).unwrap();
        fs::write(&index, &indexed).unwrap();
        if is_unseen {
            fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        let read = run(root, &["read", RUN, "robot/arm", "--format", "jsonl"]);
        assert_eq!(read.code, 0, "{}", read.stderr);
        let rows: Vec<&str> = read.text().lines().collect();
        let is_known = |row: &&&str| before.iter().any(|known| known == **row);
        assert_eq!(rows.iter().filter(is_known).count(), rows.len());
        // A frame has 64 KiB and a line; a row of these 5 KB.
        let lost = before.len() - rows.len();
        assert!((5..30).contains(&lost), "{lost} rows are lost");
        let is_named =
            read.stderr.contains("data.jsonl.zst: frame ") && read.stderr.contains("is damaged");
        assert!(is_named, "{}", read.stderr);
        // What is asked for elsewhere is whole and costs no word.
        let elsewhere =
            ["read", RUN, "robot/arm", "--format", "jsonl", "--start", "0", "--end", "1"];
        let elsewhere = run(root, &elsewhere);
        assert_eq!(elsewhere.text().lines().count(), 9);
    }
    let unpacked = run(root, &["unpack", RUN]);
    assert_eq!(unpacked.code, 3, "{}", unpacked.stderr);
    assert!(unpacked.stderr.contains("data.jsonl.zst.bad"), "{}", unpacked.stderr);
    assert_eq!(fs::read(path.with_added_extension("bad")).unwrap(), hit);
    let left: Vec<String> = tracks(root)["robot/arm"].lines().map(str::to_owned).collect();
    assert!(left.len() > 350 && left.iter().all(|row| before.contains(row)));
    // And an append to one that is damaged.
    fs::remove_file(plain_file(root, "robot_arm")).unwrap();
    fs::write(&path, &hit).unwrap();
    let row = r#"{"_ts": 900, "n": 7}"#;
    let appended = program(["append", RUN, "robot/arm", "--root"]).arg(root).stdin(row).run();
    assert_eq!(appended.code, 0, "{}", appended.stderr);
    assert_eq!(tracks(root)["robot/arm"].lines().count(), left.len() + 1);
    assert_eq!(fs::read(path.with_added_extension("bad.2")).unwrap(), hit);
}

#[test]
fn a_file_that_ends_after_a_frame_is_kept_when_the_rest_is_unpacked() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &(0..400).collect::<Vec<_>>());
    pack(root);
    let path = packed_file(root, "robot_arm");
    let whole = fs::read(&path).unwrap();
    // The table of frames says how long each is, and its last bytes how many there are.
    let number = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let count_at = whole.len() - 9;
    let first_at = count_at - 8 * number(count_at);
    let end: usize = (0..5).map(|frame| number(first_at + 8 * frame)).sum();
    fs::write(&path, &whole[..end]).unwrap();
    let left = tracks(root)["robot/arm"].clone();
    assert!((1..400).contains(&left.lines().count()), "{} rows", left.lines().count());
    let unpacked = run(root, &["unpack", RUN]);
    assert_eq!(unpacked.code, 3, "{}", unpacked.stderr);
    assert_eq!(fs::read(path.with_added_extension("bad")).unwrap(), whole[..end]);
    assert_eq!(tracks(root)["robot/arm"], left);
}

#[test]
fn a_file_that_claims_absurd_sizes_is_refused_and_the_other_tracks_are_read() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root, &[8, 16]);
    fs::remove_file(plain_file(root, "robot_arm")).unwrap();
    let bomb = zstd::encode_all(&vec![b' '; 64 << 20][..], 1).unwrap();
    assert!(bomb.len() < 10_000);
    fs::write(packed_file(root, "robot_arm"), &bomb).unwrap();
    let read = run(root, &["read", RUN, "robot/arm"]);
    assert_eq!(read.code, 1, "{}", read.stderr);
    assert!(read.stderr.contains("bounded memory"), "{}", read.stderr);
    assert_eq!(done(root, &["read", RUN, "mode", "--format", "jsonl"]).lines().count(), 2);
}

#[test]
fn on_a_full_disk_rows_stay_plain_and_nothing_is_left_beside_them() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let root = disk.path();
    record(root, &(0..600).collect::<Vec<_>>());
    let before = tracks(root);
    disk.fill_but(100 << 10);
    let packed = run(root, &["pack", RUN]);
    assert_eq!(packed.code, 1, "{}", packed.stderr);
    assert!(packed.stderr.contains("track `robot/arm`: can't pack rows in "), "{}", packed.stderr);
    assert!(packed.stderr.contains("its rows are left as they are"), "{}", packed.stderr);
    assert!(plain_file(root, "robot_arm").exists() && !packed_file(root, "robot_arm").exists());
    assert_eq!(tracks(root), before);
    disk.clear();
    done(root, &["pack", RUN]);
    disk.fill_but(100 << 10);
    let row = r#"{"_ts": 900, "n": 7}"#;
    let appended = program(["append", RUN, "robot/arm", "--root"]).arg(root).stdin(row).run();
    assert_eq!(appended.code, 1, "{}", appended.stderr);
    assert!(appended.stderr.contains("No space left"), "{}", appended.stderr);
    assert_eq!(tracks(root), before);
    let folder = packed_file(root, "robot_arm");
    let left = fs::read_dir(folder.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}
