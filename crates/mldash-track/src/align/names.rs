//! The names of a joined track's columns.

use std::collections::HashMap;

use super::AlignError;
use crate::row::{Column, TIMESTAMP_COLUMN};
use crate::rows::SelectedRows;

/// The prefix of a joined track's columns.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    topic: String,
    separator: char,
}

/// Between track and column: `.` as in flattened dicts, else `:`, which no ROS field name contains.
const SEPARATORS: [char; 2] = ['.', ':'];

impl Prefix {
    /// Returns true if a column's name begins with the prefix.
    pub(super) fn is_of(&self, column: &str) -> bool {
        let rest = column.strip_prefix(&self.topic);
        rest.is_some_and(|rest| rest.starts_with(self.separator))
    }

    /// The joined name of a column.
    pub(super) fn joined(&self, column: &str) -> Column {
        format!("{}{}{column}", self.topic, self.separator).into()
    }
}

/// Chooses prefixes such that no two tracks share a column name.
pub(super) fn prefixes(
    on: &SelectedRows,
    with: &[SelectedRows],
) -> Result<Vec<Prefix>, AlignError> {
    let mut givers: HashMap<Column, &str> = HashMap::new();
    givers.extend(on.columns().into_iter().map(|column| (column.into(), on.topic())));
    let mut prefixes: Vec<Prefix> = Vec::new();
    for selection in with {
        let topic = selection.topic();
        if prefixes.iter().any(|other| other.topic == topic) {
            return Err(AlignError::Twice(topic.to_owned()));
        }
        let own = selection.columns();
        let own = || own.iter().map(String::as_str).chain([TIMESTAMP_COLUMN]);
        let options = SEPARATORS.map(|separator| Prefix { topic: topic.to_owned(), separator });
        let taken = |prefix: &Prefix| {
            let mut names = own().map(|column| prefix.joined(column));
            names.find_map(|name| givers.get(&name).map(|first| (name, (*first).to_owned())))
        };
        let prefix = match options.each_ref().map(taken) {
            [None, _] => &options[0],
            [Some((column, first)), None] => {
                tracing::info!(
                    "track `{first}` already has column `{column}`, so columns of track `{topic}` are \
                     called `{}` and so on",
                    options[1].joined(
                        column.strip_prefix(topic).unwrap_or(&column).trim_start_matches('.')
                    )
                );
                &options[1]
            }
            [_, Some((column, first))] => {
                let (column, second) = (column.to_string(), topic.to_owned());
                return Err(AlignError::ColumnTwice { column, first, second });
            }
        };
        givers.extend(own().map(|column| (prefix.joined(column), topic)));
        prefixes.push(prefix.clone());
    }
    Ok(prefixes)
}
