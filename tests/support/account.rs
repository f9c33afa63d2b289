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
