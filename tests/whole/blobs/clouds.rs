//! `sensor_msgs/msg/PointCloud2` as PCD, npy and columns.

use mldash_bridge::blob::{Blob, BlobKind, FileFormats};
use mldash_bridge::fields;
use mldash_bridge::track::{Fields, Value};
use proptest::prelude::*;

use super::made::{CLOUD, Cloud, noise};
use crate::made_bag::{Imported, MadeBag};
use crate::opened::open;

const F32: u8 = 7;

/// Bytes of the numbers of `PointField`'s datatypes 1 to 8.
const SIZES: [u32; 8] = [1, 1, 2, 2, 4, 4, 4, 8];

fn size(datatype: u8) -> u32 {
    SIZES[usize::from(datatype) - 1]
}

fn import(cloud: &Cloud, options: &str) -> Imported {
    let mut bag = MadeBag::new();
    bag.add("/points", CLOUD, 1, &cloud.cdr(1));
    bag.import(&format!("topics:\n  - topic: /points\n    blobs: {options}\n"))
}

fn path(imported: &Imported) -> String {
    match imported.rows("points")[0].fields.get("path") {
        Some(Value::Text(path)) => path.clone(),
        other => panic!("{other:?}: {}", imported.done.stderr),
    }
}

/// Every type, several numbers in a field, gaps in the point and behind the rows.
fn every_type(is_bigendian: bool) -> Cloud {
    let fields = vec![
        ("x", 0, F32, 1),
        ("y", 4, F32, 1),
        ("z", 8, F32, 1),
        ("a", 16, 1, 1),
        ("b", 17, 2, 3),
        ("c", 20, 3, 1),
        ("d", 22, 4, 2),
        ("e", 28, 5, 1),
        ("f", 32, 6, 1),
        ("t", 40, 8, 1),
    ];
    let (width, height, point_step) = (5, 4, 52);
    let row_step = width * point_step + 8;
    let data = noise((row_step * height) as usize);
    Cloud { width, height, fields, is_bigendian, point_step, row_step, data }
}

/// What a reader has to see: the fields' bytes in their order, little-endian.
fn packed(cloud: &Cloud) -> Vec<u8> {
    let mut packed = Vec::new();
    for row in cloud.data.chunks(cloud.row_step as usize).take(cloud.height as usize) {
        for point in row.chunks(cloud.point_step as usize).take(cloud.width as usize) {
            for (_, offset, datatype, count) in &cloud.fields {
                let (start, bytes) = (*offset as usize, (size(*datatype) * count.max(&1)) as usize);
                for number in point[start..start + bytes].chunks(size(*datatype) as usize) {
                    match cloud.is_bigendian {
                        true => packed.extend(number.iter().rev()),
                        false => packed.extend(number),
                    }
                }
            }
        }
    }
    packed
}

#[test]
fn pcd_and_npy_hold_every_type_of_number_and_no_padding() {
    for is_bigendian in [false, true] {
        let cloud = every_type(is_bigendian);
        let pcd = import(&cloud, "file");
        let npy = import(&cloud, "{cloud: npy}");
        let opened = open(&[pcd.file(&path(&pcd)), npy.file(&path(&npy))]);
        let [pcd, npy] = &opened[..] else { panic!("{opened:?}") };
        assert!(pcd.data == packed(&cloud), "{:?}", pcd.facts);
        assert!(npy.data == packed(&cloud), "{:?}", npy.facts);
        assert_eq!((&pcd.facts["width"], &pcd.facts["height"]), (&5.into(), &4.into()));
        assert_eq!(npy.facts["shape"], serde_json::json!([4, 5]));
        let dtype = npy.facts["dtype"].to_string();
        assert!(
            dtype.contains(r#"["d","<u2",[2]],["e","<i4"],["f","<u4"],["t","<f8"]"#),
            "{dtype}"
        );
    }
}

#[test]
fn nan_stays_nan_and_the_row_says_what_the_cloud_was() {
    let numbers = [1.5_f32, f32::NAN, -0.0, f32::INFINITY, f32::from_bits(0x7fc0_beef), 2.0];
    let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let fields = vec![("x", 0, F32, 1), ("y", 4, F32, 1)];
    // A row_step that is wrong says nothing in a single row.
    let (width, height, point_step, row_step) = (3, 1, 8, 7);
    let cloud = Cloud {
        width,
        height,
        fields,
        is_bigendian: false,
        point_step,
        row_step,
        data: data.clone(),
    };
    let imported = import(&cloud, "file");
    assert_eq!(open(&[imported.file("points/000000.pcd")])[0].data, data);
    let row = &imported.rows("points")[0];
    for (column, value) in [
        ("path", Value::from("points/000000.pcd")),
        ("frame", "000000.pcd".into()),
        ("index", 0.into()),
        ("width", 3.into()),
        ("height", 1.into()),
        ("points", 3.into()),
        ("encoding", "pcd".into()),
        ("is_dense", true.into()),
    ] {
        assert_eq!(row.fields.get(column), Some(&value), "{column}");
    }
    assert_eq!(row.fields.get("data"), None);
}

#[test]
fn an_empty_cloud_is_a_cloud() {
    let fields = vec![("x", 0, F32, 1)];
    let (width, height, point_step, row_step) = (0, 1, 4, 0);
    let cloud =
        Cloud { width, height, fields, is_bigendian: false, point_step, row_step, data: vec![] };
    let imported = import(&cloud, "file");
    assert!(open(&[imported.file("points/000000.pcd")])[0].data.is_empty());
}

#[test]
fn small_clouds_may_be_columns() {
    let mut cloud = every_type(false);
    cloud.fields[3].0 = "width";
    for options in ["inline", "{max_inline: 64KiB}"] {
        let imported = import(&cloud, options);
        assert_eq!(imported.files(), [""; 0]);
        let row = &imported.rows("points")[0];
        let numbers = |offset: usize| -> Vec<f32> {
            let rows = cloud.data.chunks(cloud.row_step as usize);
            let points = rows.flat_map(|row| row.chunks(52).take(5));
            points.map(|p| f32::from_le_bytes(p[offset..offset + 4].try_into().unwrap())).collect()
        };
        let as_text = |value: Option<&Value>| format!("{value:?}").replace("F64", "F32");
        assert_eq!(as_text(row.fields.get("y")), as_text(Some(&Value::from(numbers(4)))));
        assert_eq!(row.fields.get("width"), Some(&5.into()));
        assert!(matches!(row.fields.get("width_"), Some(Value::Array(a)) if a.len() == 20));
        match row.fields.get("b") {
            Some(Value::List(points)) => assert_eq!(points.len(), 20),
            other => panic!("{other:?}"),
        }
        assert_eq!(row.fields.get("data"), None);
    }
    let imported = import(&cloud, "{max_inline: 1KiB}");
    assert_eq!(imported.files(), ["points/000000.pcd"]);
}

#[test]
fn clouds_that_contradict_themselves_are_dropped_counted_and_said() {
    let good = every_type(false);
    let with_field = |name, offset, datatype, count| Cloud {
        fields: vec![(name, offset, datatype, count)],
        ..good.clone()
    };
    let overlapping = vec![("x", 0, 8, 6); 9];
    for (cloud, why) in [
        (Cloud { width: 6, ..good.clone() }, "a row of 6 points is 312 bytes; `row_step` is 268"),
        (Cloud { height: 5, ..good.clone() }, "5x5 points need 1332 bytes; `data` has 1072"),
        (Cloud { width: u32::MAX, height: u32::MAX, ..good.clone() }, "`row_step` is 268"),
        (Cloud { fields: vec![], ..good.clone() }, "describe nothing in its points"),
        (with_field("x", 50, F32, 1), "`x` ends at byte 54 of points of 52 bytes"),
        (with_field("x", u32::MAX, F32, u32::MAX), "of points of 52 bytes"),
        (with_field("x", 0, 12, 1), "`x` has the datatype 12"),
        (Cloud { fields: overlapping, ..good.clone() }, "432 bytes in total, in points of 52"),
    ] {
        let topic = import(&cloud, "file").topic("/points");
        assert_eq!(topic["dropped"]["blob_malformed"], 1, "{why}");
        assert!(topic["errors"][0].as_str().unwrap().contains(why), "{topic:#}");
    }
}

/// A PCD read by the letter of its header: names, sizes, counts, and its data.
fn read_pcd(file: &[u8]) -> (Vec<String>, Vec<u32>, Vec<u32>, Vec<u8>) {
    let end = file.windows(12).position(|window| window == b"DATA binary\n").unwrap() + 12;
    let header = std::str::from_utf8(&file[..end]).unwrap();
    let words = |key: &str| -> Vec<String> {
        let line = header.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let numbers = |key: &str| words(key).iter().map(|word| word.parse().unwrap()).collect();
    (words("FIELDS "), numbers("SIZE "), numbers("COUNT "), file[end..].to_vec())
}

fn about(cloud: &Cloud) -> Fields {
    let point_field = |(name, offset, datatype, count): &(&str, u32, u8, u32)| {
        Value::Map(vec![
            ("name".into(), (*name).into()),
            ("offset".into(), (*offset).into()),
            ("datatype".into(), (*datatype).into()),
            ("count".into(), (*count).into()),
        ])
    };
    fields! {
        "height": cloud.height, "width": cloud.width, "is_bigendian": cloud.is_bigendian,
        "fields": Value::List(cloud.fields.iter().map(point_field).collect()),
        "point_step": cloud.point_step, "row_step": cloud.row_step
    }
}

/// Any fields with any gaps between them, in any order.
fn any_cloud() -> impl Strategy<Value = Cloud> {
    let names = prop::sample::select(vec!["x", "y", "intensity", "a b", "", "größe", "it's", "_"]);
    let field = (names, 0_u32..5, 1_u8..=8, 0_u32..4);
    let fields = prop::collection::vec(field, 1..7).prop_shuffle();
    (fields, 1_u32..6, 0_u32..5, 0_u32..9, 0_u32..9, any::<bool>()).prop_map(
        |(mut fields, width, height, after_point, after_row, is_bigendian)| {
            let mut end = 0;
            for (_, offset, datatype, count) in &mut fields {
                *offset += end;
                end = *offset + size(*datatype) * (*count).max(1);
            }
            let point_step = end + after_point;
            let row_step = width * point_step + after_row;
            let data = noise((row_step * height) as usize);
            Cloud { width, height, fields, is_bigendian, point_step, row_step, data }
        },
    )
}

proptest! {
    #[test]
    fn any_cloud_comes_back_from_its_pcd(cloud in any_cloud()) {
        let mut named = cloud.clone();
        named.fields.retain(|(name, ..)| *name != "_");
        let blob = Blob::new(BlobKind::Cloud, &about(&cloud), cloud.data.len());
        if named.fields.is_empty() {
            prop_assert!(blob.is_err());
            return Ok(());
        }
        let file = blob.unwrap().encode(&cloud.data, &FileFormats::default()).unwrap();
        let (names, sizes, counts, data) = read_pcd(&file.bytes);
        prop_assert_eq!(names.len(), named.fields.len());
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), names.len());
        let expected: Vec<u32> = named.fields.iter().map(|f| size(f.2)).collect();
        prop_assert_eq!(sizes, expected);
        let expected: Vec<u32> = named.fields.iter().map(|f| f.3.max(1)).collect();
        prop_assert_eq!(counts, expected);
        prop_assert_eq!(data, packed(&named));
    }

    #[test]
    fn no_sizes_make_a_cloud_panic(
        sizes in prop::array::uniform4(prop_oneof![0_u32..40, any::<u32>()]),
        fields in prop::collection::vec(("[a-z]", any::<u32>(), any::<u8>(), any::<u32>()), 0..4),
        bytes in 0_usize..2000,
    ) {
        let [width, height, point_step, row_step] = sizes;
        let fields = fields.into_iter().map(|(_, offset, datatype, count)| ("x", offset, datatype, count));
        let cloud = Cloud {
            width, height, fields: fields.collect(), is_bigendian: true, point_step, row_step, data: noise(bytes),
        };
        if let Ok(blob) = Blob::new(BlobKind::Cloud, &about(&cloud), bytes) {
            let file = blob.encode(&cloud.data, &FileFormats::default()).unwrap();
            prop_assert!(file.bytes.len() < 4 * bytes + 1000);
        }
    }
}
