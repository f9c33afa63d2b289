use proptest::prelude::*;

use super::*;
use crate::mapping::Mapping;

fn selection(topics: &[&str]) -> TopicSelection {
    let topics = topics.iter().map(|topic| topic.parse().unwrap()).collect();
    TopicSelection { topics, ..TopicSelection::default() }
}

fn mapping(selection: &TopicSelection) -> Mapping {
    selection.check().unwrap();
    let text = selection.mapping(&SelectionSettings::default());
    Mapping::of_options(&text, None).unwrap()
}

fn takes(mapping: &Mapping, topic: &str, ty: &str) -> bool {
    mapping.rule_for(topic, &ty.parse().unwrap()).is_some()
}

const IMU: &str = "sensor_msgs/msg/Imu";

#[test]
fn named_topics_are_recorded_and_no_others() {
    let mapping = mapping(&selection(&["/a", "/rosout", "/cam/**", "/a"]));
    for topic in ["/a", "/rosout", "/cam/left/info"] {
        assert!(takes(&mapping, topic, IMU), "{topic}");
    }
    assert!(!takes(&mapping, "/b", IMU));
    assert_eq!(mapping.rules().len(), 3, "a topic that is named twice has one entry");
    assert_eq!(mapping.file(), None);
}

#[test]
fn all_is_all_but_what_is_excluded_by_name_pattern_or_type() {
    let all = TopicSelection { all: true, ..selection(&["/parameter_events"]) };
    assert!(takes(&mapping(&all), "/a/b", IMU) && takes(&mapping(&all), "/parameter_events", IMU));
    assert!(!takes(&mapping(&all), "/rosout", IMU), "as in config/bridge.yaml");
    assert!(!takes(&mapping(&all), "/a/_action/status", IMU), "it is hidden");
    let exclude = vec!["/cam/*".parse().unwrap(), TopicPattern::regex("debug$").unwrap()];
    let exclude_types = vec![IMU.parse().unwrap()];
    let some = mapping(&TopicSelection { exclude, exclude_types, ..all });
    for (topic, ty, is_taken) in [
        ("/cam/left", "a/msg/B", false),
        ("/x_debug", "a/msg/B", false),
        ("/x", IMU, false),
        ("/x", "a/msg/B", true),
        ("/parameter_events", IMU, true),
    ] {
        assert_eq!(takes(&some, topic, ty), is_taken, "{topic} {ty}");
    }
}

#[test]
fn a_regular_expression_selects_by_any_part_of_the_name() {
    let regex = TopicPattern::regex("^/(a|b)_\\d").ok();
    let mapping = mapping(&TopicSelection { regex, ..TopicSelection::default() });
    let taken = ["/a_1/x", "/b_2", "/c_1", "/x/a_1"].map(|topic| takes(&mapping, topic, IMU));
    assert_eq!(taken, [true, true, false, false]);
    assert_eq!(mapping.rules()[0].label(), "regex ^/(a|b)_\\d");
}

#[test]
fn services_and_actions_are_recorded_with_and_without_topics() {
    let patterns = |names: &[&str]| -> Vec<TopicPattern> {
        names.iter().map(|name| CallSelection::pattern(name).unwrap()).collect()
    };
    let takes = |mapping: &Mapping, topic: &str| {
        mapping.rule_for(topic, &"a/srv/B_Event".parse().unwrap()).is_some()
    };
    let services = patterns(&["/add", "arm: x/*", "/add"]);
    let calls = CallSelection { services, actions: patterns(&["all"]) };
    let alone = TopicSelection { calls: calls.clone(), ..TopicSelection::default() };
    assert!(!alone.is_empty() && !alone.says_topics());
    let alone = mapping(&alone);
    assert!(alone.rules().is_empty());
    assert_eq!(alone.calls().len(), 3, "one that is named twice has one entry");
    for (topic, is_taken) in [
        ("/add/_service_event", true),
        ("/arm: x/move/_service_event", true),
        ("/sub/_service_event", false),
        ("/reach/_action/feedback", true),
        ("/add", false),
    ] {
        assert_eq!(takes(&alone, topic), is_taken, "{topic}");
    }
    let exclude = vec!["/reach".parse().unwrap()];
    let both = mapping(&TopicSelection { calls, exclude, ..selection(&["/a"]) });
    assert!(takes(&both, "/a") && takes(&both, "/add/_service_event"));
    assert!(!takes(&both, "/reach/_action/feedback"), "globs don't take what is excluded");
}

#[test]
fn what_does_not_go_together_is_told() {
    let told = |selection: TopicSelection| selection.check().unwrap_err().to_string();
    let exclude = || vec!["/b".parse().unwrap()];
    let exclude_types = vec![IMU.parse().unwrap()];
    let regex = TopicPattern::regex("x").ok();
    let none = told(TopicSelection { exclude: exclude(), ..TopicSelection::default() });
    assert!(none.starts_with("`--exclude` says what not to record"), "{none}");
    let types = told(TopicSelection { exclude_types, ..selection(&["/a"]) });
    assert!(types.starts_with("`--exclude-types` has no effect"), "{types}");
    let services = vec!["/add".parse().unwrap()];
    let calls = CallSelection { services, ..CallSelection::default() };
    let of_calls = TopicSelection { calls, exclude: exclude(), ..TopicSelection::default() };
    assert!(told(of_calls).starts_with("`--exclude` has no effect"));
    let both = told(TopicSelection { exclude: exclude(), all: true, ..selection(&["/b"]) });
    assert!(both.starts_with("`/b` is both"), "{both}");
    told(TopicSelection { all: true, regex, ..TopicSelection::default() });
    let wrong = selection(&["/a b"]).check_for_graph().unwrap_err().to_string();
    assert!(wrong.contains("can't be in a topic's name"), "{wrong}");
}

#[test]
fn the_other_options_are_in_it_too() {
    let settings = SelectionSettings {
        experiment: Some("alice/lab/{date}".to_owned()),
        root: Some("/data: x".to_owned()),
        split: Split { every: "1h30min".parse().ok(), size: "1.5MB".parse().ok(), rows: Some(7) },
        start_paused: true,
    };
    let mapping = Mapping::of_options(&selection(&["/a"]).mapping(&settings), None).unwrap();
    assert_eq!(mapping.experiment().unwrap().to_string(), "alice/lab/{date}");
    assert_eq!(mapping.root().unwrap().to_str(), Some("/data: x"));
    assert_eq!((mapping.split(), mapping.start_paused()), (settings.split, true));
}

proptest! {
    #[test]
    fn whatever_is_selected_the_mapping_says_so(
        topics in prop::collection::vec("[ -~é]{1,12}", 1..4),
        regex in "[ -~é]{1,12}",
    ) {
        let topics: Vec<TopicPattern> = topics.iter().filter_map(|t| t.parse().ok()).collect();
        let regex = TopicPattern::regex(&regex).ok();
        let selection = TopicSelection { topics, regex, ..TopicSelection::default() };
        prop_assume!(!selection.is_empty());
        let text = selection.mapping(&SelectionSettings::default());
        // Topics may share a track, which is told; they are there all the same.
        let told = match Mapping::of_options(&text, None) {
            Ok(mapping) => {
                let rules = mapping.rules().iter().map(|rule| rule.topic().clone());
                let rules: Vec<TopicPattern> = rules.collect();
                for topic in selection.topics.iter().chain(&selection.regex) {
                    prop_assert!(rules.contains(topic), "{topic} in {text}");
                }
                return Ok(());
            }
            Err(errors) => errors.problems().to_vec(),
        };
        for problem in told {
            let is_about_tracks = problem.message().contains("track `")
                || problem.message().contains("is mapped in line")
                || problem.message().contains("has an entry in line")
                || problem.message().contains("typographic quotes");
            prop_assert!(is_about_tracks, "{problem} in {text}");
        }
    }
}
