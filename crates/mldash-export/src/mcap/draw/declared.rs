//! What the topics of a track declared of its rows.

use mldash_track::{Column, RowSchema};

const POINT: [&str; 2] = ["geometry_msgs/msg/Point", "geometry_msgs/msg/Vector3"];
const QUATERNION: [&str; 1] = ["geometry_msgs/msg/Quaternion"];

/// The declarations of a track, taken together.
#[derive(Clone, Debug, Default)]
pub(in crate::mcap) struct Declared {
    /// Empty if there is none, or topics of several types lead into the track.
    type_name: String,
    /// Where the rows come from.
    sources: Vec<String>,
    columns: Vec<Column>,
    /// The columns whose lists stand for a message.
    messages: Vec<(Column, String)>,
}

/// The columns that describe a picture's or a cloud's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileColumns {
    /// The topic below the track's own, for one of several in a message: `left/image`.
    pub(super) below: String,
    pub(super) path: Column,
    pub(super) encoding: Column,
    pub(super) frame_id: Option<Column>,
    pub(super) is_cloud: bool,
}

impl Declared {
    pub(super) fn of(sources: &[RowSchema]) -> Self {
        let mut declared = Self::default();
        let mut types: Vec<&str> = sources.iter().filter_map(RowSchema::of_type).collect();
        types.dedup();
        if let [type_name] = types.as_slice() {
            declared.type_name = (*type_name).to_owned();
        }
        for source in sources {
            if !declared.sources.iter().any(|known| known == source.source()) {
                declared.sources.push(source.source().to_owned());
            }
            for (column, _) in source.columns() {
                if !declared.columns.contains(column) {
                    declared.columns.push(column.clone());
                }
            }
            for message in source.messages() {
                if !declared.messages.contains(message) {
                    declared.messages.push(message.clone());
                }
            }
        }
        declared
    }

    /// The type of the messages, such as `nav_msgs/msg/Odometry`; empty if there is none, or several.
    pub(in crate::mcap) fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The topics that the rows come from.
    pub(in crate::mcap) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The column, if there is one of this name.
    pub(super) fn column(&self, name: &str) -> Option<Column> {
        self.columns.iter().find(|column| ***column == *name).cloned()
    }

    /// All of these columns, if they are there.
    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> Option<[Column; N]> {
        let found = names.map(|name| self.column(name));
        if found.iter().any(Option::is_none) {
            return None;
        }
        Some(found.map(Option::unwrap_or_default))
    }

    /// The column of a point or a vector: of one of these names, else the only one that stands for one.
    pub(super) fn point(&self, names: &[&str]) -> Option<Column> {
        self.named_or_only(names, &POINT)
    }

    /// The column of a quaternion, likewise.
    pub(super) fn quaternion(&self, names: &[&str]) -> Option<Column> {
        self.named_or_only(names, &QUATERNION)
    }

    fn named_or_only(&self, names: &[&str], types: &[&str]) -> Option<Column> {
        if let Some(column) = names.iter().find_map(|name| self.column(name)) {
            return Some(column);
        }
        let mut found = self.messages.iter().filter(|(_, ty)| types.contains(&ty.as_str()));
        match (found.next(), found.next()) {
            (Some((column, _)), None) => Some(column.clone()),
            _ => None,
        }
    }

    /// The pictures and clouds that have become files.
    pub(super) fn files(&self) -> Vec<FileColumns> {
        let prefixes = self.columns.iter().filter_map(|column| prefix(column));
        prefixes.filter_map(|prefix| self.file(prefix)).collect()
    }

    /// Returns true if a column names a file of the recording, by the columns beside it.
    pub(in crate::mcap) fn names_file(&self, column: &str) -> bool {
        let described = |prefix: &str| {
            let has = |name: &str| self.column(&format!("{prefix}{name}")).is_some();
            has("frame") && has("index") && has("bytes")
        };
        prefix(column).is_some_and(described)
    }

    fn file(&self, prefix: &str) -> Option<FileColumns> {
        let own = |name: &str| self.column(&format!("{prefix}{name}"));
        let path = own("path").filter(|path| self.names_file(path))?;
        let is_cloud = own("points").is_some();
        let below = prefix.trim_end_matches('.').replace('.', "/");
        let frame_id = own("frame_id").or_else(|| self.column("frame_id"));
        Some(FileColumns { below, path, encoding: own("encoding")?, frame_id, is_cloud })
    }
}

/// What comes before `path` in the name of a column.
fn prefix(column: &str) -> Option<&str> {
    let prefix = column.strip_suffix("path")?;
    (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
}
