//! Pictures and clouds of a live robot as files.

use mldash_bridge::track::Value;

use super::opened::open;
use super::support::Graph;

#[test]
fn pictures_become_files_and_cost_the_poses_nothing() {
    let graph = Graph::new();
    let bridge =
        graph.bridge("topics:\n  - topic: /pose\n  - {topic: /image, blobs: {image: png}}\n");
    let expected = graph.robot("images").finish();
    let recording = bridge.interrupt();
    recording.assert_rows(&expected);
    assert_eq!(recording.topic("/image")["stored"], 5);

    let rows = recording.rows("image");
    let files: Vec<_> = (0..5).map(|i| recording.file(&format!("image/{i:06}.png"))).collect();
    for (i, (row, opened)) in rows.iter().zip(open(&files)).enumerate() {
        assert_eq!(row.fields.get("path"), Some(&Value::from(format!("image/{i:06}.png"))));
        assert_eq!(opened.facts["shape"], serde_json::json!([300, 300, 3]));
        // As publisher.py paints them.
        let sent = (0..300 * 300).flat_map(|k| [(k + i) as u8, (k / 300) as u8, 7]);
        assert!(opened.data.into_iter().eq(sent), "image {i}");
    }
}
