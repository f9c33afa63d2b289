//! JSON on the store. Every object says which version of the layout it has.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::PublishError;
use super::manifest::FORMAT;

/// What every object has, in every version.
#[derive(Deserialize)]
pub(super) struct AnyObject {
    format: u32,
}

/// Reads an object. `url` and `name` are for messages.
pub(super) fn parse<T: DeserializeOwned>(
    json: &[u8],
    url: &str,
    name: &str,
) -> Result<T, PublishError> {
    let damaged =
        |source| PublishError::Damaged { url: url.to_owned(), name: name.to_owned(), source };
    // The number comes first: what else a newer version holds is not known.
    let AnyObject { format } = serde_json::from_slice(json).map_err(damaged)?;
    if format > FORMAT {
        return Err(PublishError::Newer { url: url.to_owned(), name: name.to_owned(), format });
    }
    serde_json::from_slice(json).map_err(damaged)
}

/// The text of an object, in lines that people can read.
pub(super) fn pretty(object: &impl Serialize) -> Vec<u8> {
    // A struct of texts and numbers always has a JSON.
    let mut json = serde_json::to_vec_pretty(object).unwrap_or_default();
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests {
    use super::super::schema::TopicSchema;
    use super::*;

    #[test]
    fn a_newer_version_is_told_whatever_else_it_holds() {
        let read =
            |json: &str| parse::<TopicSchema>(json.as_bytes(), "s3://lake", "schemas/t.json");
        let newer = read(r#"{"format": 2, "topic": "t", "columns": {"x": "quaternion"}}"#);
        assert!(matches!(newer, Err(PublishError::Newer { format: 2, .. })), "{newer:?}");
        let damaged = read(r#"{"format": 1, "topic": "t", "columns": {"x": "quaternion"}}"#);
        assert!(matches!(damaged, Err(PublishError::Damaged { .. })), "{damaged:?}");
        let schema = TopicSchema::new("t");
        assert_eq!(parse::<TopicSchema>(&pretty(&schema), "", "").unwrap(), schema);
    }
}
