//! `fields`: which parts of a message become columns, and the names of these columns.

use super::settings::PATH;
use crate::yaml::{Item, Placed, Problems};
use mldash_message::{FieldPath, SelectedField};
use mldash_track::row::TIMESTAMP_COLUMN;

/// A list of paths, or a mapping from columns to paths.
pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<Placed<SelectedField>>> {
    let mut fields: Vec<Placed<SelectedField>> = Vec::new();
    if item.is_list() {
        for path in item.list(problems)? {
            if let Some(read) = path.parse::<FieldPath>(PATH, problems) {
                let column = default_column(&read);
                fields.push(path.place(SelectedField { column, path: read }));
            }
        }
    } else if item.is_scalar() {
        item.mismatch("a list of field paths, or `column: path` lines", None, problems);
        return None;
    } else {
        for entry in item.entries(problems)? {
            check_column(&entry.key, problems);
            if let Some(path) = entry.value.parse(PATH, problems) {
                let column = entry.key.value.to_owned();
                fields.push(entry.value.place(SelectedField { column, path }));
            }
        }
    }
    if item.is_empty() {
        let hint = "leave `fields` out to record all of them";
        problems.add(&item.spot, "no field is selected", Some(hint.to_owned()));
    }
    for (i, field) in fields.iter().enumerate() {
        let column = &field.value.column;
        if fields[..i].iter().any(|before| before.value.column == *column) {
            let message = format!("the column `{column}` is there twice");
            problems.add(&field.spot, message, Some("keep one of them".to_owned()));
        }
    }
    Some(fields)
}

/// A selected field has the same column name as without selection. Array elements are not part of
/// the name.
fn default_column(path: &FieldPath) -> String {
    let names: Vec<&str> = path.steps().iter().map(|step| step.name.as_str()).collect();
    match names[..] {
        ["header", "frame_id"] => "frame_id".to_owned(),
        _ => names.join("."),
    }
}

fn check_column(column: &Placed<&str>, problems: &mut Problems) {
    let name = column.value;
    if name.is_empty() || name.chars().any(char::is_control) {
        let message = format!("`{}` can't name a column", name.escape_debug());
        problems.add(&column.spot, message, Some("write a word such as `position`".to_owned()));
    }
    if name == TIMESTAMP_COLUMN || name == "_ts" {
        let message = format!("a column can't be called `{name}`, the row's own time is");
        let hint = "choose another name; `stamp:` says where the row's time comes from";
        problems.add(&column.spot, message, Some(hint.to_owned()));
    }
}
