//! Writes a mapping for a robot: an entry for each topic, with what suits its type. People edit it,
//! so it explains itself.

use std::collections::HashSet;
use std::fmt::Write;

use mldash_message::{Decoder, Definitions, Layout};
use mldash_track::name::TrackName;

/// A topic that the mapping is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftTopic {
    /// Its name on the graph.
    pub topic: String,
    /// Its type.
    pub type_name: String,
    /// A remark on it, such as its rate; may be empty.
    pub remark: String,
    /// Why it can't be recorded, if so.
    pub obstacle: Option<String>,
}

const HEAD: &str = "\
# Made by `mldash_bridge init` from the topics that were on the graph. Edit it, then check it against the
# running robot and record by it:
#
#   mldash_bridge check FILE --graph
#   mldash_bridge run --config FILE
#
# Every key is explained in share/mldash_bridge/config/bridge.yaml.

# owner/project/…/name of the recording; {date}, {time}, {host} and {env:NAME} fill in.
experiment: robot/{host}/{date}-{time}

# The local store, in ML-Dash's own layout.
root: .dash

# One entry a topic. `max_rate: 10` thins one by its stamps, `fields: [pose.position]` keeps a part of it;
# an entry that is left out is not recorded.
topics:
";

const TAIL: &str = "
# What holds for every topic of a type, unless its entry says otherwise:
#
# types:
#   sensor_msgs/msg/Imu: {max_rate: 100}
";

impl DraftTopic {
    /// Returns true if its entry is commented out: it can't be recorded, or tells nothing about the
    /// robot.
    pub fn is_off(&self) -> bool {
        self.why_off().is_some()
    }

    /// Returns true if image_transport makes it from the pictures of `raw`.
    fn is_compressed_of(&self, raw: &Self) -> bool {
        let below = self.topic.strip_prefix(&raw.topic).is_some_and(|rest| rest.starts_with('/'));
        below && raw.type_name == "sensor_msgs/msg/Image"
    }

    fn why_off(&self) -> Option<String> {
        if let Some(obstacle) = &self.obstacle {
            return Some(format!("Can't be recorded: {}", obstacle.replace('\n', " ")));
        }
        match self.topic.as_str() {
            "/rosout" => Some("Off: what nodes log.".to_owned()),
            "/parameter_events" => Some("Off: parameters of nodes that change.".to_owned()),
            "/clock" => Some("Off: simulated time; rows lie on it with `use_sim_time`.".to_owned()),
            _ => None,
        }
    }
}

/// The text of a mapping that records these topics. `definitions` tell which types have a stamp.
pub fn draft(topics: &[DraftTopic], definitions: &Definitions) -> String {
    let mut text = HEAD.to_owned();
    let mut folders = HashSet::new();
    for topic in topics {
        let mut entry = Entry::new(topic, definitions, &mut folders);
        if let Some(raw) = topics.iter().find(|raw| topic.is_compressed_of(raw)) {
            entry.comment(&format!("The same pictures as {}: one of the two will do.", raw.topic));
        }
        // Writing into a text can't fail.
        let _ = entry.write(&mut text);
    }
    text.push_str(TAIL);
    text
}

/// An entry being built.
struct Entry<'t> {
    topic: &'t DraftTopic,
    comments: Vec<String>,
    keys: Vec<(&'static str, String)>,
    /// Why it is commented out.
    off: Option<String>,
}

impl<'t> Entry<'t> {
    fn new(
        topic: &'t DraftTopic,
        definitions: &Definitions,
        folders: &mut HashSet<String>,
    ) -> Self {
        let remark = (!topic.remark.is_empty() && !topic.is_off()).then(|| sentence(&topic.remark));
        let mut entry = Self {
            topic,
            comments: remark.into_iter().collect(),
            keys: vec![("type", topic.type_name.clone())],
            off: topic.why_off(),
        };
        entry.add_what_suits_the_type();
        entry.add_stamp(definitions);
        if entry.off.is_none() {
            entry.add_free_track(folders);
        }
        entry
    }

    fn add_what_suits_the_type(&mut self) {
        match self.topic.type_name.as_str() {
            "tf2_msgs/msg/TFMessage" => {
                self.comment(
                    "A row for each transform, at its own stamp, in a track for each child frame.",
                );
                self.keys.push(("each", "transforms".to_owned()));
                self.keys.push(("track", "\"{topic}/{child_frame_id}\"".to_owned()));
            }
            "sensor_msgs/msg/CameraInfo" | "nav_msgs/msg/OccupancyGrid" => {
                self.comment("It seldom changes: only rows that differ from the one before.");
                self.keys.push(("on_change", "true".to_owned()));
            }
            "sensor_msgs/msg/Image" | "sensor_msgs/msg/CompressedImage" => {
                self.comment("Each picture becomes a file; the row names it.");
                self.keys.push(("blobs", "file".to_owned()));
            }
            "sensor_msgs/msg/PointCloud2" => {
                self.comment("Each cloud becomes a file; the row names it.");
                self.keys.push(("blobs", "file".to_owned()));
            }
            _ => {}
        }
    }

    /// Uses the receive time if the type has no stamp.
    fn add_stamp(&mut self, definitions: &Definitions) {
        let is_array_of_stamped = self.keys.iter().any(|(key, _)| *key == "each");
        if !is_array_of_stamped && has_stamp(&self.topic.type_name, definitions) == Some(false) {
            self.comment("It has no header: a row lies on the receive time.");
            self.keys.push(("stamp", "receive".to_owned()));
        }
    }

    /// `/a/b` and `/a_b` would share a folder of the store.
    fn add_free_track(&mut self, folders: &mut HashSet<String>) {
        let name = self.topic.topic.trim_start_matches('/');
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|track| {
            // If it is no valid track name, `check` reports it.
            track.parse::<TrackName>().map_or(true, |track| folders.insert(track.folder()))
        });
        if let Some(track) = free.filter(|track| track != name)
            && !self.keys.iter().any(|(key, _)| *key == "track")
        {
            self.keys.push(("track", track));
        }
    }

    fn comment(&mut self, text: &str) {
        self.comments.push(text.to_owned());
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text)?;
        for comment in self.off.iter().chain(&self.comments) {
            writeln!(text, "  # {comment}")?;
        }
        let off = if self.off.is_some() { "# " } else { "" };
        writeln!(text, "  {off}- topic: {}", self.topic.topic)?;
        self.keys.iter().try_for_each(|(key, value)| writeln!(text, "  {off}  {key}: {value}"))
    }
}

/// Returns true if messages of a type have a time of their own; `None` if the type is not known.
fn has_stamp(type_name: &str, definitions: &Definitions) -> Option<bool> {
    let message = definitions.resolve(&type_name.parse().ok()?).ok()?;
    Decoder::compile(&message, &Layout::default()).ok().map(|decoder| decoder.has_stamp())
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::Mapping;
    use super::*;

    fn topic(topic: &str, type_name: &str) -> DraftTopic {
        DraftTopic {
            topic: topic.to_owned(),
            type_name: type_name.to_owned(),
            remark: "10.0 Hz, 1.2 kB/s".to_owned(),
            obstacle: None,
        }
    }

    fn definitions() -> (tempfile::TempDir, Definitions) {
        let prefix = tempfile::tempdir().unwrap();
        let folder = prefix.path().join("share/geometry_msgs/msg");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Twist.msg"), "float64 linear\n").unwrap();
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        (prefix, definitions)
    }

    #[test]
    fn what_is_drafted_records_each_topic_as_suits_its_type() {
        let (_prefix, definitions) = definitions();
        let topics = [
            topic("/r1/tf", "tf2_msgs/msg/TFMessage"),
            topic("/cam/camera_info", "sensor_msgs/msg/CameraInfo"),
            topic("/cam/image", "sensor_msgs/msg/Image"),
            topic("/cam/image/compressed", "sensor_msgs/msg/CompressedImage"),
            topic("/cmd_vel", "geometry_msgs/msg/Twist"),
            topic("/rosout", "rcl_interfaces/msg/Log"),
        ];
        insta::assert_snapshot!(draft(&topics, &definitions));
    }

    #[test]
    fn topics_whose_tracks_would_share_a_folder_get_tracks_apart() {
        let topics =
            [topic("/a/b", "p/msg/T"), topic("/a_b", "p/msg/T"), topic("/a/b_2", "p/msg/T")];
        let text = draft(&topics, &Definitions::from_prefixes([]));
        let mapping = Mapping::parse(&text, "init").unwrap();
        let tracks = mapping.rules().iter().map(|rule| rule.settings().track.to_string());
        assert_eq!(tracks.collect::<Vec<_>>(), ["{topic}", "a_b_2", "a/b_2_2"]);
    }

    #[test]
    fn a_topic_that_can_not_be_recorded_is_there_as_a_comment_with_the_reason() {
        let mut odd = topic("/odd", "odd_msgs/msg/Odd");
        odd.obstacle = Some("built without it;\nbuild it again".to_owned());
        let text = draft(&[odd, topic("/x", "p/msg/T")], &Definitions::from_prefixes([]));
        assert!(
            text.contains("  # Can't be recorded: built without it; build it again\n"),
            "{text}"
        );
        assert!(text.contains("  # - topic: /odd\n  #   type: odd_msgs/msg/Odd\n"), "{text}");
        assert_eq!(Mapping::parse(&text, "init").unwrap().rules().len(), 1);
    }
}
