use super::super::*;

const DESIGN: &str = r#"
format: lerobot
fps: 10
robot_type: rover
task: "drive a loop"
missing: drop
features:
  observation.state:
    from: ["robot/odom:pose.pose.position[0:2]", "robot/odom:twist.twist.linear[0]"]
    names: [x, y, v]
    method: linear
    tolerance: 0.2
  action:
    from: "cmd_vel:linear[0]"
    method: floor
    missing: hold
  arm.position: {from: "joint_states:position", joints: [shoulder, elbow, wrist]}
  observation.images.front: {from: camera/front, as: image, size: [480, 640]}
"#;

fn problems(text: &str) -> Vec<String> {
    let errors = Recipe::parse(text, "r.yaml").unwrap_err();
    errors.problems().iter().map(|problem| format!("{problem}")).collect()
}

#[test]
fn a_recipe_says_what_each_feature_is_made_of() {
    let recipe = Recipe::parse(DESIGN, "r.yaml").unwrap();
    assert_eq!((recipe.format, recipe.fps), (Format::LeRobot, 10));
    assert_eq!(recipe.task.as_deref(), Some("drive a loop"));
    let [state, action, arm, front] = recipe.features.as_slice() else { panic!() };
    assert_eq!((state.method, state.tolerance_secs), (Method::Linear, 0.2));
    assert_eq!((state.missing, action.missing), (Missing::Drop, Missing::Hold));
    assert_eq!(action.tolerance_secs, f64::INFINITY);
    let Content::Numbers(numbers) = &arm.content else { panic!() };
    assert_eq!(numbers.joints.as_ref().unwrap().len(), 3);
    let Content::Picture(picture) = &front.content else { panic!() };
    assert_eq!((picture.storage, picture.size), (PictureStorage::Image, Some((480, 640))));
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let found = problems(
        r#"
fps: 0
missing: skip
features:
  observation/state: {from: "odom:pose[0:2]", names: [x], metod: linear}
  action: {from: cmd_vel, dtype: float31}
  timestamp: {from: "a:b"}
  front: {from: cam, as: picture}
  rear: {from: cam, as: image, method: linear, size: [480]}
"#,
    );
    let expected = [
        "2:6: fps: expected a whole number of ticks a second from 1 to 10000, found `0`",
        "3:10: missing: expected drop or hold or end_episode or error, found `skip`",
        "5:3: features.observation/state: LeRobot takes no `/` in a feature's name\n  hint: write a dot in place of \
         the `/`: `observation.images.front`",
        "5:54: features.observation/state.names: 1 names for 2 values\n  hint: write 2 names",
        "5:59: features.observation/state.metod: unknown key `metod`\n  hint: did you mean `method`?",
        "6:18: features.action.from: `cmd_vel` names no column\n  hint: write `track:column`; pictures need `as: \
         image` or `as: video`",
        "6:34: features.action.dtype: expected float32 or float64 or int64 or bool, found `float31`\n  hint: did \
         you mean `float32`?",
        "7:3: features.timestamp: the dataset has a column `timestamp` of its own\n  hint: give it another name",
        "8:26: features.front.as: expected image or video, found `picture`",
        "9:40: features.rear.method: expected floor or nearest, since pictures can't be mixed, found `linear`",
        "9:54: features.rear.size: expected height and width: `[480, 640]`, found a list",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_a_plain_table_can_t_hold_is_told_wherever_the_format_is_said() {
    let text = "fps: 1\nfeatures:\n  time: {from: \"a:b\"}\n  ..: {from: \"a:b\"}\n";
    let dots = "4:3: features...: `..` is no name: folders are named as features are\n  hint: give it another name";
    assert_eq!(problems(text), [dots]);
    let text = "fps: 1\nfeatures:\n  time: {from: \"a:b\"}\n";
    let told = "the dataset has a column `time` of its own";
    assert!(problems(&format!("format: parquet\n{text}"))[0].contains(told));
    let recipe = Recipe::parse(text, "r.yaml").unwrap();
    let error = recipe.clone().in_format(Format::Parquet).unwrap_err().to_string();
    assert!(error.contains(told), "{error}");
    assert!(recipe.in_format(Format::LeRobot).is_ok());
}

#[test]
fn a_key_and_its_other_name_are_not_both_given() {
    let told = problems("{fps: 1, features: {a: {from: 'b:c', unit: m, units: [s]}}}").join("\n");
    assert!(told.contains("`unit` beside `units`"), "{told}");
}

#[test]
fn what_gives_fractions_is_not_stored_as_whole_numbers() {
    let recipe =
        |rest: &str| format!("{{fps: 1, features: {{a: {{from: 'b:c', dtype: int64, {rest}}}}}}}");
    for method in ["method: linear", "method: slerp", "method: window"] {
        let told = problems(&recipe(method)).join("\n");
        assert!(told.contains("expected floor or nearest for `dtype: int64`"), "{told}");
    }
    assert!(Recipe::parse(&recipe("method: window, window: max"), "r.yaml").is_ok());
}

#[test]
fn what_is_missing_is_told() {
    assert_eq!(problems("")[0].lines().next().unwrap(), "1:1: the recipe is empty");
    let found = problems("robot_type: rover");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("1:1: `features` is missing"), "{found:?}");
    assert!(found[1].starts_with("1:1: `fps` is missing"), "{found:?}");
    let found = problems("fps: 1\nfeatures: {a: {names: [x]}}");
    assert!(found[0].starts_with("2:15: features.a: `from` is missing"), "{found:?}");
}

#[test]
fn a_word_for_ffmpeg_is_no_option_of_its_own() {
    let text = "fps: 1\nvideo: {codec: \"-y\"}\nfeatures: {a: {from: \"b:c\"}}";
    assert!(problems(text)[0].starts_with("2:16: video.codec: expected a name of ffmpeg's"));
    let text = "fps: 1\nvideo: {codec: libx264}\nfeatures: {a: {from: \"b:c\"}}";
    let video = Recipe::parse(text, "r").unwrap().video;
    assert_eq!((video.codec.as_str(), video.preset, video.gop), ("libx264", None, 2));
}
