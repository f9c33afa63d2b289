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

#[test]
fn heavy_sensors_cost_the_light_ones_nothing() {
    let graph = Graph::new();
    let bridge = graph.bridge(
        "topics:
  - topic: /imu
  - topic: /joint_states
  - {topic: /tf, each: transforms, track: 'tf/{child_frame_id}'}
  - topic: /points
  # As many as an unoptimised build can encode.
  - {topic: /camera/image_raw, max_rate: 5}
",
    );
    // It stays until the last message is here: a lost datagram is sent again, which takes its time.
    let patient = ["--wait-for-subscribers", "180", "--linger", "180"];
    let robot = graph.start_example("heavy_robot", &[&["--duration", "5"], &patient[..]].concat());
    robot.wait_for_stdout("}");
    let light = [
        ("/imu", "imu", 1000),
        ("/joint_states", "joint_states", 500),
        ("/tf", "tf/base_link", 500),
    ];
    for (_, track, messages) in light {
        bridge.wait_for_rows(track, messages);
    }
    let recording = bridge.interrupt();
    for (topic, _, messages) in light {
        let account = recording.topic(topic);
        let counts = (&account["received"], &account["stored"]);
        assert_eq!(counts, (&messages.into(), &messages.into()), "{account:#}");
    }
    for (track, extension) in [("points", "pcd"), ("camera/image_raw", "jpg")] {
        let topic = format!("/{track}");
        let stored = recording.topic(&topic)["stored"].as_u64().unwrap();
        assert!(stored > 0, "{topic}");
        let rows = recording.rows(track);
        assert_eq!(rows.len() as u64, stored, "{topic}");
        // Every row's file is there and whole; whatever was dropped got no number.
        let files = rows.iter().zip(0..).map(|(row, i)| {
            let path = format!("{track}/{i:06}.{extension}");
            assert_eq!(row.fields.get("path"), Some(&Value::from(path.clone())));
            recording.file(&path)
        });
        open(&files.collect::<Vec<_>>());
    }
}
