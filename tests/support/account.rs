//! What holds for every account.

use serde_json::Value;

/// Every message of every topic is somewhere.
pub fn assert_adds_up(account: &Value) {
    for topic in account["topics"].as_array().unwrap() {
        let count = |key: &str| topic[key].as_u64().unwrap();
        let dropped = topic["dropped"].as_object().unwrap().values();
        let dropped: u64 = dropped.map(|count| count.as_u64().unwrap()).sum();
        let known = count("stored") + count("merged") + count("throttled") + count("unchanged");
        assert_eq!(count("received"), known + dropped, "{topic:#}");
    }
}

/// The messages of tests/data/sena_lab_loop.mcap by topic; of `/tf` each transform is one.
const ROBOTS_BAG: [(&str, u64); 10] = [
    ("/scan", 225),
    ("/odom", 225),
    ("/pose", 225),
    ("/points", 225),
    ("/tf", 450),
    ("/tf_static", 2),
    ("/camera/camera_info", 225),
    ("/camera/image_raw/compressed", 5),
    ("/chatter", 23),
    ("/robot_description", 1),
];

/// The whole of the robot's bag was received.
pub fn assert_received_robots_bag(account: &Value) {
    for (topic, messages) in ROBOTS_BAG {
        assert_eq!(received(account, topic), messages, "{topic}");
    }
}

/// How many messages of a topic were; none of one that the account does not have.
pub fn received(account: &Value, topic: &str) -> u64 {
    let topics = account["topics"].as_array().unwrap();
    topics.iter().find(|t| t["topic"] == topic).map_or(0, |t| t["received"].as_u64().unwrap())
}
