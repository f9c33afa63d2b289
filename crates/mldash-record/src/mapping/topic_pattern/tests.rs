use proptest::prelude::*;

use super::*;

fn captures(pattern: &str, topic: &str) -> Option<Vec<String>> {
    pattern.parse::<TopicPattern>().unwrap().captures(topic).map(|c| c.0)
}

fn matches(pattern: &str, topic: &str) -> bool {
    captures(pattern, topic).is_some()
}

#[test]
fn a_star_stays_within_its_segment() {
    assert_eq!(captures("/camera/*/info", "/camera/left/info").unwrap(), ["left"]);
    assert!(!matches("/camera/*/info", "/camera/left/raw/info"));
    assert!(!matches("/camera/*", "/camera"));
    assert_eq!(captures("/cam*/im?", "/cam/imu").unwrap(), ["", "u"]);
    assert!(!matches("/cam?", "/cam"));
}

#[test]
fn two_stars_are_any_number_of_segments() {
    assert_eq!(captures("/**", "/a/b").unwrap(), ["a/b"]);
    assert_eq!(captures("/**/imu", "/imu").unwrap(), [""]);
    assert_eq!(captures("/**/imu", "/a/b/imu").unwrap(), ["a/b"]);
    assert_eq!(captures("/a/**/*", "/a/b/c").unwrap(), ["b", "c"]);
    assert!(matches("/a/**", "/a/b/c") && !matches("/a/**", "/a") && !matches("/a/**", "/ab"));
}

#[test]
fn a_regular_expression_is_found_anywhere_in_a_name() {
    let regex = |text: &str| TopicPattern::regex(text).unwrap();
    let captures = |text: &str, topic: &str| regex(text).captures(topic).map(|c| c.0);
    assert_eq!(captures("cam.*info", "/cam/left/info").unwrap(), [""; 0]);
    assert_eq!(captures(r"^/(cam|lidar)_(\d)$", "/cam_3").unwrap(), ["cam", "3"]);
    assert_eq!(captures("/(.*)/b", "/é/b").unwrap(), ["é"], "a bag can have such names");
    assert_eq!(captures("^/imu$", "/imu2"), None);
    assert_eq!(captures("status", "/fibonacci/_action/status"), None, "it is hidden");
    assert!(captures("/_action/status", "/fibonacci/_action/status").is_some());
    let resolved = regex("imu").resolve("/r1", "n");
    assert!(resolved.captures("/r2/imu").is_some(), "it is about whole names");
    assert_ne!(regex("/imu"), "/imu".parse().unwrap());
    assert_eq!(regex("/a b/").not_ros(), None);
    for (wrong, told) in [
        ("", "1 to 4096 bytes"),
        ("(/a", "unclosed group"),
        ("(?=/a)", "look-around"),
        (r"(a)\1", "backreferences are not supported"),
    ] {
        let error = TopicPattern::regex(wrong).unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_wildcard_means_no_hidden_topic_unless_the_glob_spells_one_out() {
    assert!(!matches("/**", "/fibonacci/_action/status"));
    assert!(!matches("/*", "/_hidden"));
    assert!(matches("/*/_action/*", "/fibonacci/_action/status"));
    assert!(matches("/fibonacci/_action/status", "/fibonacci/_action/status"));
}

#[test]
fn relative_names_lie_under_the_namespace_and_tilde_under_the_node() {
    let absolute = |text: &str, namespace: &str| {
        let pattern: TopicPattern = text.parse().unwrap();
        pattern.resolve(namespace, "bridge").absolute().to_owned()
    };
    assert_eq!(absolute("scan", "/"), "/scan");
    assert_eq!(absolute("scan", "/robot1"), "/robot1/scan");
    assert_eq!(absolute("~/status", "robot1"), "/robot1/bridge/status");
    assert_eq!(absolute("~/status", ""), "/bridge/status");
    assert_eq!(absolute("/scan", "/robot1"), "/scan");
    let glob: TopicPattern = "*/imu".parse().unwrap();
    assert!(glob.resolve("/r1", "n").captures("/r1/left/imu").is_some());
}

#[test]
fn what_is_no_topic_and_no_glob_is_explained() {
    let message = |text: &str| text.parse::<TopicPattern>().unwrap_err().to_string();
    for text in ["", "/", "~", "~/"] {
        assert!(message(text).contains("no topic"), "{text}");
    }
    assert!(message("/a**").contains("whole parts"));
    assert!(message("/**/**").contains("twice in a row"));
    assert!(message("/**//**").contains("twice in a row"));
    assert!(message(&"a".repeat(256)).contains("256"));
}

#[test]
fn what_no_graph_has_is_explained() {
    let problem = |text: &str| {
        let pattern: TopicPattern = text.parse().unwrap();
        pattern.not_ros().map(|problem| problem.to_string()).unwrap_or_default()
    };
    assert!(problem("/a//b").contains("empty part"));
    assert!(problem("/a/").contains("empty part"));
    assert!(problem("/a/[bc]").contains("'['"));
    assert!(problem("/{ns}/b").contains("'{'"));
    assert!(problem("/a/9b").contains("digit"));
    assert!(problem("~a").contains("`~/name`"));
    assert!(problem("/a/~").contains("`~/name`"));
    for fine in ["/a/b", "a", "~/a", "/**", "/a_?/*"] {
        assert_eq!(problem(fine), "");
    }
}

#[test]
fn a_name_that_only_bags_have_is_named_as_it_is_and_taken_by_globs() {
    for topic in ["a", "vid1/data", "/a//b", "/a/", "~/a", "/Enable Auto/9", "/camera-1/ü", "/r.b"]
    {
        let named: TopicPattern = topic.parse().unwrap();
        assert!(named.resolve("/robot1", "bridge").names(topic), "{topic}");
        assert!(matches("/**", topic), "{topic}");
    }
    assert!(!matches("/a/b", "/a//b") && !matches("/a//b", "/a/b") && !matches("/r.b", "/rxb"));
    assert_eq!(captures("/**/b", "a//b/").unwrap(), ["a"]);
    assert_eq!(captures("/a.*/b", "/a.x//b").unwrap(), ["x"]);
    assert!(!matches("/a.*/b", "/abx/b"));
    assert!(!matches("/**", "") && !matches("/**", "//"));
}

proptest! {
    #[test]
    fn whatever_is_accepted_can_be_matched(text in "[~/a_*?9.]{0,12}", topic in "[/a_~.]{0,9}") {
        if let Ok(pattern) = text.parse::<TopicPattern>() {
            prop_assert!(pattern.absolute().starts_with('/'));
            if let Some(captures) = pattern.captures(&topic) {
                prop_assert_eq!(captures.0.len(), pattern.wildcards());
            }
        }
    }
}
