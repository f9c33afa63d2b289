//! Whatever is read of a packed file is what was packed, or named as damaged.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::error::one_line;
use crate::local::snapshot::Snapshot;

const LINES_A_FRAME: usize = 5;

/// Lines as a track has them, in frames of a few.
fn frames(lines: &[u32]) -> Vec<Vec<u8>> {
    let line = |number: &u32| format!("{{\"timestamp\":{number}.5,\"q\":[0.25,{number}]}}\n");
    let of = |lines: &[u32]| lines.iter().map(line).collect::<String>().into_bytes();
    lines.chunks(LINES_A_FRAME).map(of).collect()
}

fn packed(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new()).unwrap();
    frames.iter().for_each(|frame| packer.push(frame).unwrap());
    packer.finish().unwrap()
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(file: &File) -> Result<PackedText, StoreError> {
    // Damage is reported once a path.
    PackedText::of(file, Path::new("/nowhere").join(fastrand::u64(..).to_string()).as_path())
}

/// The text, read in steps of so many bytes.
fn read(file: &File, step: usize) -> Result<Vec<u8>, StoreError> {
    let text = open(file)?;
    let mut read = Vec::new();
    let mut some = vec![0; step];
    loop {
        let bytes = text.read_at(file, &mut some, read.len() as u64).unwrap();
        read.extend_from_slice(&some[..bytes]);
        if bytes == 0 {
            assert_eq!(read.len() as u64, text.text_bytes());
            return Ok(read);
        }
    }
}

#[test]
fn zstd_unpacks_what_is_packed_byte_for_byte() {
    let frames = frames(&(0..5000).collect::<Vec<_>>());
    let bytes = packed(&frames);
    assert_eq!(zstd::decode_all(&bytes[..]).unwrap(), frames.concat());
    assert_eq!(open(&file_of(&bytes)).unwrap().text_crc(), Some(crc32fast::hash(&frames.concat())));
}

#[test]
fn a_seekable_file_of_another_program_is_read() {
    // Without our note, and with checksums in the table.
    let frames = frames(&(0..40).collect::<Vec<_>>());
    let mut bytes = Vec::new();
    let mut entries = Vec::new();
    for frame in &frames {
        let packed = zstd::bulk::compress(frame, 3).unwrap();
        entries.extend((packed.len() as u32).to_le_bytes());
        entries.extend((frame.len() as u32).to_le_bytes());
        entries.extend([7; 4]);
        bytes.extend(packed);
    }
    bytes.extend(0x184D_2A5E_u32.to_le_bytes());
    bytes.extend((entries.len() as u32 + 9).to_le_bytes());
    bytes.extend(&entries);
    bytes.extend((frames.len() as u32).to_le_bytes());
    bytes.push(0x80);
    bytes.extend(0x8F92_EAB1_u32.to_le_bytes());
    assert_eq!(read(&file_of(&bytes), 100).unwrap(), frames.concat());
}

#[test]
fn files_that_claim_absurd_sizes_are_refused_before_memory_is_taken() {
    let refused = |bytes: &[u8]| {
        let error = open(&file_of(bytes)).unwrap_err().to_string();
        assert!(error.contains("bounded memory") && error.contains("zstd -d"), "{error}");
    };
    // One frame of all, as `zstd data.jsonl` makes it, 4 MiB of zeros here; and one that does not say.
    refused(&zstd::bulk::compress(&vec![0; 4 << 20], 1).unwrap());
    let mut unsaid = Vec::new();
    zstd::stream::copy_encode(&vec![0; 4 << 20][..], &mut unsaid, 1).unwrap();
    refused(&unsaid);
    // A table that is right by its own CRC and says that a frame has 4 GiB.
    let mut bytes = zstd::bulk::compress(b"{}\n", 1).unwrap();
    let end = end_of_file(&[(bytes.len() as u32, u32::MAX)], u64::from(u32::MAX), 0);
    bytes.extend(end);
    refused(&bytes);
    // A table that says less than a frame has: no more is taken, and the frame is damaged.
    let mut bytes = zstd::bulk::compress(&vec![b'x'; 1 << 20], 1).unwrap();
    let end = end_of_file(&[(bytes.len() as u32, 10)], 10, 0);
    bytes.extend(end);
    assert_eq!(read(&file_of(&bytes), 100).unwrap(), b"\0\0\0\0\0\0\0\0\0\n");
}

#[test]
fn a_line_without_an_end_is_refused_before_it_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let spaces = vec![vec![b' '; MAX_FRAME_BYTES]; MAX_LINE_BYTES / MAX_FRAME_BYTES + 1];
    let bytes = packed(&spaces);
    assert!(bytes.len() < 10_000);
    std::fs::write(folder.path().join(PACKED_FILE), bytes).unwrap();
    let error = one_line(&Snapshot::open(folder.path()).unwrap_err());
    assert!(error.contains("is longer than 4 MiB") && error.contains("zstd -d"), "{error}");
}

#[test]
fn a_file_that_ends_after_a_frame_is_known_to_lack_its_end() {
    let frames = frames(&(0..40).collect::<Vec<_>>());
    let whole = packed(&frames);
    let (_, end) = places(&frames)[3];
    let cut = file_of(&whole[..end]);
    assert!(open(&cut).unwrap().fault().is_some());
    assert_eq!(read(&cut, 100).unwrap(), frames[..4].concat());
    // With the table hit alone, the note still tells that nothing is missing.
    let mut hit = whole;
    let last = hit.len() - 1;
    hit[last] ^= 1;
    let text = open(&file_of(&hit)).unwrap();
    assert!(text.fault().is_some());
    assert_eq!(text.text_crc(), Some(crc32fast::hash(&frames.concat())));
}

#[test]
fn a_line_that_is_too_large_for_a_frame_goes_into_several() {
    let line = vec![b'x'; 5 * MAX_FRAME_BYTES / 2];
    let ranges: Vec<_> = pieces(7..7 + line.len() as u64).collect();
    assert_eq!(ranges.len(), 3);
    let frames: Vec<Vec<u8>> = ranges
        .iter()
        .map(|range| line[range.start as usize - 7..range.end as usize - 7].to_vec())
        .collect();
    assert_eq!(read(&file_of(&packed(&frames)), 3 << 20).unwrap(), line);
    assert!(Packer::new(Vec::new()).unwrap().push(&line).is_err());
}

/// Where each frame is in the file.
fn places(frames: &[Vec<u8>]) -> Vec<(usize, usize)> {
    let mut packer = Packer::new(Vec::new()).unwrap();
    let mut places = Vec::new();
    for frame in frames {
        let from = packer.out.len();
        packer.push(frame).unwrap();
        places.push((from, packer.out.len()));
    }
    places
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Fill(u8, usize),
    Cut,
    Insert(usize),
    Delete(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (0..8_u8).prop_map(|bit| Damage::Flip(1 << bit)),
        1 => (any::<u8>(), 1..80_usize).prop_map(|(byte, count)| Damage::Fill(byte, count)),
        1 => Just(Damage::Cut),
        1 => (1..80_usize).prop_map(Damage::Insert),
        1 => (1..80_usize).prop_map(Damage::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn text_is_read_from_any_place_in_any_steps(
        lines in prop::collection::vec(any::<u32>(), 0..60),
        step in 1..400_usize,
    ) {
        let frames = frames(&lines);
        let file = file_of(&packed(&frames));
        prop_assert_eq!(read(&file, step).unwrap(), frames.concat());
    }

    #[test]
    fn damage_costs_the_frames_that_it_hits(
        lines in prop::collection::vec(any::<u32>(), 1..120),
        damages in prop::collection::vec((0.0..1.0, damage()), 1..3),
    ) {
        let frames = frames(&lines);
        let whole = packed(&frames);
        let mut bytes = whole.clone();
        for (place, damage) in &damages {
            let at = (bytes.len() as f64 * place) as usize;
            if bytes.is_empty() {
                break;
            }
            match damage {
                Damage::Flip(bit) => bytes[at] ^= bit,
                Damage::Fill(byte, count) => {
                    let end = bytes.len().min(at + count);
                    bytes[at..end].fill(*byte);
                }
                Damage::Cut => bytes.truncate(at),
                Damage::Insert(count) => drop(bytes.splice(at..at, vec![b'?'; *count])),
                Damage::Delete(count) => {
                    let end = bytes.len().min(at + count);
                    bytes.drain(at..end);
                }
            }
        }
        let found = read(&file_of(&bytes), 1 << 16);
        let found: Vec<Vec<u8>> = match found {
            // With all of it damaged, it may look like anything.
            Err(error) => {
                prop_assert!(error.to_string().contains("bounded memory"), "{}", error);
                Vec::new()
            }
            Ok(text) => text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        };
        let is_there = |line: &[u8]| found.iter().any(|found| found == line);
        for (frame, (from, to)) in frames.iter().zip(places(&frames)) {
            // Still there somewhere, as it was.
            if memchr::memmem::find(&bytes, &whole[from..to]).is_some() && !found.is_empty() {
                for line in frame.split_inclusive(|byte| *byte == b'\n') {
                    prop_assert!(is_there(line), "{:?} is lost by {damages:?}", String::from_utf8_lossy(line));
                }
            }
        }
        let all = frames.concat();
        let known: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
        for line in &found {
            let is_row = line.starts_with(b"{");
            prop_assert!(!is_row || known.contains(&&line[..]), "made up: {:?}", String::from_utf8_lossy(line));
        }
    }
}
