//! The name of an experiment, made when a recording starts.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, date};

use super::template::{self, LoneBrace, Part};
use mldash_track::name::{ExperimentName, NameError};

/// An experiment's name with placeholders: `{date}` (`2026-11-24`), `{time}` (`14-05-59`),
/// `{host}`, `{env:NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExperimentTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Date,
    Time,
    Host,
    Variable(String),
}

/// Why a text is not an experiment template, or gives no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExperimentTemplateError {
    /// A brace without its partner.
    #[error(transparent)]
    Brace(#[from] LoneBrace),
    /// There is no such placeholder.
    #[error(
        "`{{{0}}}` is not a placeholder; there are {{date}}, {{time}}, {{host}} and {{env:NAME}}"
    )]
    Placeholder(String),
    /// A needed environment variable is not set.
    #[error(
        "the experiment `{template}` needs the environment variable {variable}, which is not set"
    )]
    Unset {
        /// The variable.
        variable: String,
        /// The template.
        template: String,
    },
    /// The result can't be the name of an experiment.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl ExperimentTemplate {
    /// The environment variables that it needs.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The experiment's name at `now`, local time, on the machine `host`.
    ///
    /// # Errors
    ///
    /// Fails if `env` does not have a variable, or the result can't be the name of an experiment.
    pub fn expand(
        &self,
        now: DateTime,
        host: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<ExperimentName, ExperimentTemplateError> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Date => name.push_str(&now.strftime("%Y-%m-%d").to_string()),
                Piece::Time => name.push_str(&now.strftime("%H-%M-%S").to_string()),
                Piece::Host => name.push_str(host),
                Piece::Variable(variable) => match env(variable).filter(|v| !v.is_empty()) {
                    Some(value) => name.push_str(value.trim_matches('/')),
                    None => {
                        let (variable, template) = (variable.clone(), self.to_string());
                        return Err(ExperimentTemplateError::Unset { variable, template });
                    }
                },
            }
        }
        Ok(name.parse()?)
    }

    /// Checks that it can give a name. A variable can contain a whole `owner/project`.
    pub(super) fn check(&self) -> Result<(), ExperimentTemplateError> {
        let some_day = date(2026, 1, 1).at(0, 0, 0, 0);
        self.expand(some_day, "host", |_| Some("owner/project/name".to_owned())).map(drop)
    }
}

impl FromStr for ExperimentTemplate {
    type Err = ExperimentTemplateError;

    fn from_str(text: &str) -> Result<Self, ExperimentTemplateError> {
        let piece = |part| match part {
            Part::Text(text) => Ok(Piece::Text(text.to_owned())),
            Part::Placeholder(placeholder) => placeholder.parse(),
        };
        let pieces = template::parts(text)?.into_iter().map(piece).collect::<Result<_, _>>()?;
        Ok(Self { pieces })
    }
}

impl FromStr for Piece {
    type Err = ExperimentTemplateError;

    fn from_str(placeholder: &str) -> Result<Self, ExperimentTemplateError> {
        match placeholder {
            "date" => Ok(Self::Date),
            "time" => Ok(Self::Time),
            "host" => Ok(Self::Host),
            _ => placeholder
                .strip_prefix("env:")
                .filter(|variable| is_variable(variable))
                .map(|variable| Self::Variable(variable.to_owned()))
                .ok_or_else(|| ExperimentTemplateError::Placeholder(placeholder.to_owned())),
        }
    }
}

/// Returns true if a shell can set an environment variable with this name.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for ExperimentTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Date => f.write_str("{date}"),
            Piece::Time => f.write_str("{time}"),
            Piece::Host => f.write_str("{host}"),
            Piece::Variable(name) => write!(f, "{{env:{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, user: Option<&str>) -> Result<String, ExperimentTemplateError> {
        let now = date(2026, 11, 24).at(14, 5, 59, 0);
        let env = |name: &str| user.filter(|_| name == "USER").map(str::to_owned);
        template.parse::<ExperimentTemplate>()?.expand(now, "rover", env).map(|n| n.to_string())
    }

    #[test]
    fn date_time_host_and_environment_fill_in() {
        let name = expand("{env:USER}/lab/{host}/{date}-{time}", Some("alice")).unwrap();
        assert_eq!(name, "alice/lab/rover/2026-11-24-14-05-59");
        assert_eq!(expand("{env:USER}/run", Some("alice/lab")).unwrap(), "alice/lab/run");
    }

    #[test]
    fn an_unset_variable_is_named() {
        for user in [None, Some("")] {
            let error = expand("{env:USER}/lab/run", user).unwrap_err();
            assert!(error.to_string().contains("environment variable USER"), "{error}");
        }
    }

    #[test]
    fn what_can_give_no_name_is_explained() {
        let problem = |text: &str| {
            let checked = text.parse::<ExperimentTemplate>().and_then(|t| t.check());
            checked.unwrap_err().to_string()
        };
        assert!(problem("alice/run").contains("owner/project/name"));
        assert!(problem("a/b/{day}").contains("`{day}`"));
        assert!(problem("a/b/{env:}").contains("`{env:}`"));
        assert!(problem("a/b/{date").contains("brace"));
        assert!(problem("a/b}/c").contains("brace"));
        assert!(problem("../b/{date}").contains("dot"));
    }

    #[test]
    fn a_variable_can_not_lead_out_of_the_root() {
        let error = expand("{env:USER}/lab/run", Some("../..")).unwrap_err();
        assert!(matches!(error, ExperimentTemplateError::Name(_)), "{error}");
    }
}
