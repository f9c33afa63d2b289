//! The columns of an export. Each has its declared type if the values fit it, else the type of its
//! values.

use super::kind::{Kind, MAX_DICT_KEYS};
use super::survey::Survey;
use crate::row::{Column, ColumnType};
use crate::rows::SelectedRows;

/// The columns of the rows that `survey` saw: declared ones first, in order, whether a row has them
/// or not, then the others in order of first appearance. Logs each column that does not fit its
/// declaration.
pub(super) fn columns(selection: &SelectedRows, survey: &Survey) -> Vec<(Column, ColumnType)> {
    let mut columns = selection.declared();
    let declared = columns.len();
    for (name, kind) in survey.kinds() {
        match columns[..declared].iter_mut().find(|(known, _)| known == name) {
            Some((_, ty)) => {
                let fitting = fitting_type(kind, ty).unwrap_or(ColumnType::Json);
                if fitting != *ty {
                    tracing::warn!(
                        "track `{}`: column `{name}` holds values that are not of its declared type, {ty}; \
                         it is written as {fitting}",
                        selection.topic()
                    );
                    *ty = fitting;
                }
            }
            None => columns.push((name.clone(), kind.column_type())),
        }
    }
    columns.iter_mut().for_each(|(_, ty)| bound(ty));
    columns
}

/// The columns of the rows that `survey` saw, in order of first appearance, with the types of their values.
pub(super) fn of_values(survey: &Survey) -> impl Iterator<Item = (Column, ColumnType)> {
    survey.kinds().map(|(name, kind)| {
        let mut ty = kind.column_type();
        bound(&mut ty);
        (name.clone(), ty)
    })
}

/// The type, or JSON text for what would be too many columns.
#[cfg(feature = "parquet")]
pub(super) fn bounded(mut ty: ColumnType) -> ColumnType {
    bound(&mut ty);
    ty
}

/// Makes JSON text of what would be too many columns: dicts in dicts multiply, and each dict in a list has
/// a cell in all of them.
fn bound(ty: &mut ColumnType) {
    if ty.leaves() > MAX_DICT_KEYS {
        *ty = ColumnType::Json;
    }
}

/// The declared type if it holds all values of `kind`, else one that does; `None` if only JSON text
/// holds them all.
pub(super) fn fitting_type(kind: &Kind, declared: &ColumnType) -> Option<ColumnType> {
    Some(match (kind, declared) {
        (Kind::Mixed, _) | (_, ColumnType::Json) => return None,
        (Kind::Nothing, declared) => declared.clone(),
        (Kind::Number(numbers), declared) if numbers.fit(declared) => declared.clone(),
        (Kind::List(items), ColumnType::List(declared)) => {
            ColumnType::list(fitting_type(items, declared)?)
        }
        (Kind::Dict(entries), ColumnType::Dict(declared)) => {
            let mut fitting = declared.clone();
            for (key, kind) in entries {
                match fitting.iter_mut().find(|(known, _)| known == key) {
                    Some((_, ty)) => *ty = fitting_type(kind, ty)?,
                    None => fitting.push((key.clone(), kind.common_type()?)),
                }
            }
            ColumnType::Dict(fitting)
        }
        (kind, _) => kind.common_type()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn fitting(declared: &ColumnType, values: &[&str]) -> String {
        let mut kind = Kind::default();
        for value in values {
            kind.note(&mut Scanner::new(value.as_bytes())).unwrap();
        }
        fitting_type(&kind, declared).unwrap_or(ColumnType::Json).to_string()
    }

    fn list(items: ColumnType) -> ColumnType {
        ColumnType::list(items)
    }

    #[test]
    fn dicts_in_dicts_have_together_no_more_keys_than_one() {
        let dict = |keys: usize, ty: &ColumnType| {
            ColumnType::Dict((0..keys).map(|i| (format!("k{i}").into(), ty.clone())).collect())
        };
        for (keys, is_kept) in [(16, true), (17, false)] {
            let before = list(dict(keys, &list(dict(16, &ColumnType::Int))));
            let mut bounded = before.clone();
            bound(&mut bounded);
            assert_eq!(bounded, if is_kept { before } else { ColumnType::Json });
        }
    }

    #[test]
    fn a_declared_type_stays_where_no_value_shows_it() {
        assert_eq!(fitting(&list(ColumnType::Float), &["[]", "null"]), "list<double>");
        assert_eq!(fitting(&ColumnType::UInt, &["7"]), "uint64");
        assert_eq!(fitting(&ColumnType::Float, &["7"]), "double");
        assert_eq!(fitting(&ColumnType::Text, &[]), "string");
        let dict = ColumnType::Dict(vec![("id".into(), list(ColumnType::Int))]);
        assert_eq!(fitting(&list(dict), &["[{}]", "[]"]), "list<struct<id: list<int64>>>");
    }

    #[test]
    fn values_that_do_not_fit_have_their_own_type_and_their_neighbours_the_declared_one() {
        assert_eq!(fitting(&ColumnType::Int, &["1", "0.5"]), "double");
        assert_eq!(fitting(&ColumnType::UInt, &["-1"]), "int64");
        assert_eq!(fitting(&ColumnType::Float, &["9007199254740993"]), "int64");
        assert_eq!(fitting(&ColumnType::Float, &["9007199254740993", "0.5"]), "JSON text");
        assert_eq!(fitting(&ColumnType::Int, &["1", r#""a""#]), "JSON text");
        assert_eq!(fitting(&ColumnType::Int, &[r#""a""#]), "string");
        let dict = ColumnType::Dict(vec![
            ("id".into(), ColumnType::Int),
            ("poses".into(), list(ColumnType::Float)),
        ]);
        assert_eq!(
            fitting(&dict, &[r#"{"id": 0.5, "poses": [], "name": "a"}"#]),
            "struct<id: double, poses: list<double>, name: string>"
        );
    }

    #[test]
    fn what_is_declared_as_json_text_stays_that() {
        assert_eq!(fitting(&ColumnType::Json, &["1"]), "JSON text");
    }
}
