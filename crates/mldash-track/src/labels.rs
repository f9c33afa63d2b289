//! What people say of an experiment: tags, task, success, notes, operator, and whether it is
//! discarded. They lie in `experiment.json`: `tags` and `description` (the notes) where ML-Dash has
//! them, the others under `metadata`.

use serde::Serialize;
use serde_json::Value;

use super::local::ExperimentNotes;
use super::run::Metadata;

/// The keys under `metadata`.
const TASK: &str = "task";
const SUCCESS: &str = "success";
const OPERATOR: &str = "operator";
const DISCARDED: &str = "discarded";

/// The limits, in bytes. All of it is read with every list of experiments.
const MAX_TAG_BYTES: usize = 200;
const MAX_TAGS: usize = 1000;
const MAX_LINE_BYTES: usize = 4096;
const MAX_NOTES_BYTES: usize = 64 << 10;

/// What is said of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Labels {
    /// Tags for search, each once.
    pub tags: Vec<String>,
    /// What the robot was to do, in words: "pick the cup".
    pub task: Option<String>,
    /// Whether it did; `None` if nobody has said.
    pub success: Option<bool>,
    /// Anything else worth knowing: ML-Dash's `description`.
    pub notes: Option<String>,
    /// Who ran it.
    pub operator: Option<String>,
    /// Whether it is not to be used. Its rows stay.
    pub discarded: bool,
}

impl From<&ExperimentNotes> for Labels {
    /// Values of an unexpected type, which other programs may have written, count as not given.
    fn from(notes: &ExperimentNotes) -> Self {
        let value = |key: &str| notes.metadata.as_ref()?.get(key);
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let said = |key: &str| text(value(key).and_then(Value::as_str));
        Self {
            tags: notes.tags.clone().unwrap_or_default(),
            task: said(TASK),
            success: value(SUCCESS).and_then(Value::as_bool),
            notes: text(notes.description.as_deref()),
            operator: said(OPERATOR),
            discarded: value(DISCARDED).and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

/// A change of [`Labels`]; what it does not speak of stays.
///
/// ```
/// # use mldash_track::*;
/// # let root = tempfile::tempdir()?;
/// # Experiment::open("alice/lab/run-1", Options::local(root.path()))?.close()?;
/// let exp = Experiment::open_read_only("alice/lab/run-1", root.path())?;
/// let labels = exp.label(&LabelChange::new().task("pick the cup")?.success(Some(true)).add_tag("kitchen")?)?;
/// assert_eq!((labels.task.as_deref(), labels.success), (Some("pick the cup"), Some(true)));
/// assert_eq!(exp.notes()?.labels(), labels);
/// assert_eq!(LabelChange::new().add_tag("a\nb").unwrap_err().to_string(), "a tag is a single line of text, without control characters");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChange {
    task: Edit<String>,
    success: Edit<bool>,
    notes: Edit<String>,
    operator: Edit<String>,
    add_tags: Vec<String>,
    remove_tags: Vec<String>,
    discarded: Option<bool>,
}

/// A change of one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Edit<T> {
    #[default]
    Leave,
    Remove,
    Set(T),
}

/// A label that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A tag without text.
    #[error("a tag is empty")]
    EmptyTag,
    /// A label of one line holds a line break or another control character.
    #[error("{0} is a single line of text, without control characters")]
    NotALine(&'static str),
    /// Notes hold a control character other than a line break or a tab.
    #[error("notes hold the control character {0:?}")]
    Control(char),
    /// A label is too long.
    #[error("{what} has {bytes} bytes; at most {max_bytes} are kept")]
    TooLong {
        /// Which label.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// There are too many tags.
    #[error("there would be {0} tags; at most {MAX_TAGS} are kept")]
    TooManyTags(usize),
}

impl LabelChange {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the task. An empty text removes it.
    ///
    /// # Errors
    /// Fails if the text is longer than a line, or than 4096 bytes.
    pub fn task(self, task: &str) -> Result<Self, LabelError> {
        Ok(Self { task: line("a task", task, MAX_LINE_BYTES)?, ..self })
    }

    /// Sets whether the robot did its task. `None` removes it.
    pub fn success(self, success: Option<bool>) -> Self {
        Self { success: success.map_or(Edit::Remove, Edit::Set), ..self }
    }

    /// Sets the notes. An empty text removes them.
    ///
    /// # Errors
    /// Fails if the text is longer than 64 KiB or holds control characters.
    pub fn notes(self, notes: &str) -> Result<Self, LabelError> {
        let is_layout = |c: char| matches!(c, '\n' | '\r' | '\t');
        if let Some(control) = notes.chars().find(|c| c.is_control() && !is_layout(*c)) {
            return Err(LabelError::Control(control));
        }
        Ok(Self { notes: text("the text of the notes", notes, MAX_NOTES_BYTES)?, ..self })
    }

    /// Sets the operator. An empty text removes it.
    ///
    /// # Errors
    /// Fails if the text is longer than a line, or than 4096 bytes.
    pub fn operator(self, operator: &str) -> Result<Self, LabelError> {
        Ok(Self { operator: line("an operator", operator, MAX_LINE_BYTES)?, ..self })
    }

    /// Adds a tag, unless it is there.
    ///
    /// # Errors
    /// Fails if the tag is empty, longer than a line or than 200 bytes.
    pub fn add_tag(mut self, tag: &str) -> Result<Self, LabelError> {
        self.add_tags.push(tag_text(tag)?);
        Ok(self)
    }

    /// Removes a tag, if it is there. A tag that is also added goes.
    ///
    /// # Errors
    /// As [`add_tag`](Self::add_tag).
    pub fn remove_tag(mut self, tag: &str) -> Result<Self, LabelError> {
        self.remove_tags.push(tag_text(tag)?);
        Ok(self)
    }

    /// Marks it as not to be used, or takes that mark away.
    pub fn discarded(self, discarded: bool) -> Self {
        Self { discarded: Some(discarded), ..self }
    }

    /// Returns true if it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This change, and where it says nothing, that one.
    pub fn or(self, other: Self) -> Self {
        let add_tags = other.add_tags.into_iter().chain(self.add_tags).collect();
        let remove_tags = other.remove_tags.into_iter().chain(self.remove_tags).collect();
        Self {
            task: self.task.or(other.task),
            success: self.success.or(other.success),
            notes: self.notes.or(other.notes),
            operator: self.operator.or(other.operator),
            add_tags,
            remove_tags,
            discarded: self.discarded.or(other.discarded),
        }
    }

    /// What also holds for the next part of a recording: task, operator and tags. Success, notes
    /// and the mark of discarding are about one part.
    pub fn carried(&self) -> Self {
        Self {
            task: self.task.clone(),
            operator: self.operator.clone(),
            add_tags: self.add_tags.clone(),
            remove_tags: self.remove_tags.clone(),
            ..Self::default()
        }
    }

    /// What is about one part of a recording: all that is not [carried](Self::carried).
    pub fn of_one_part(&self) -> Self {
        Self {
            success: self.success.clone(),
            notes: self.notes.clone(),
            discarded: self.discarded,
            ..Self::default()
        }
    }

    /// Labels after this change; of tags, as many as there may be.
    pub fn labels_of(&self, before: &Labels) -> Labels {
        let mut after = before.clone();
        self.change_tags(&mut after.tags);
        after.tags.truncate(MAX_TAGS);
        self.task.set(&mut after.task);
        self.success.set(&mut after.success);
        self.notes.set(&mut after.notes);
        self.operator.set(&mut after.operator);
        after.discarded = self.discarded.unwrap_or(before.discarded);
        after
    }

    fn change_tags(&self, tags: &mut Vec<String>) {
        for tag in &self.add_tags {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        tags.retain(|tag| !self.remove_tags.contains(tag));
    }

    /// The notes after this change.
    ///
    /// # Errors
    /// Fails if there would be too many tags.
    pub(super) fn apply(&self, notes: &ExperimentNotes) -> Result<ExperimentNotes, LabelError> {
        let mut tags = notes.tags.clone().unwrap_or_default();
        self.change_tags(&mut tags);
        if tags.len() > MAX_TAGS {
            return Err(LabelError::TooManyTags(tags.len()));
        }
        let mut metadata = match &notes.metadata {
            Some(Value::Object(metadata)) => metadata.clone(),
            _ => Metadata::new(),
        };
        self.task.apply(&mut metadata, TASK);
        self.operator.apply(&mut metadata, OPERATOR);
        self.success.apply(&mut metadata, SUCCESS);
        let discarded = match self.discarded {
            None => Edit::Leave,
            Some(true) => Edit::Set(true),
            Some(false) => Edit::Remove,
        };
        discarded.apply(&mut metadata, DISCARDED);
        let description = match &self.notes {
            Edit::Leave => notes.description.clone(),
            Edit::Remove => Some(String::new()),
            Edit::Set(notes) => Some(notes.clone()),
        };
        let metadata = Some(Value::Object(metadata));
        Ok(ExperimentNotes { tags: Some(tags), metadata, description, ..Default::default() })
    }
}

impl<T> Edit<T> {
    fn or(self, other: Self) -> Self {
        match self {
            Self::Leave => other,
            said => said,
        }
    }
}

impl<T: Clone> Edit<T> {
    fn set(&self, value: &mut Option<T>) {
        match self {
            Self::Leave => {}
            Self::Remove => *value = None,
            Self::Set(new) => *value = Some(new.clone()),
        }
    }
}

impl<T: Clone + Into<Value>> Edit<T> {
    fn apply(&self, metadata: &mut Metadata, key: &str) {
        match self {
            Self::Leave => {}
            Self::Remove => drop(metadata.remove(key)),
            Self::Set(value) => drop(metadata.insert(key.to_owned(), value.clone().into())),
        }
    }
}

/// A label of one line.
fn line(what: &'static str, given: &str, max_bytes: usize) -> Result<Edit<String>, LabelError> {
    if given.trim().chars().any(char::is_control) {
        return Err(LabelError::NotALine(what));
    }
    text(what, given, max_bytes)
}

fn text(what: &'static str, given: &str, max_bytes: usize) -> Result<Edit<String>, LabelError> {
    let text = given.trim();
    let bytes = text.len();
    if bytes > max_bytes {
        return Err(LabelError::TooLong { what, bytes, max_bytes });
    }
    Ok(if text.is_empty() { Edit::Remove } else { Edit::Set(text.to_owned()) })
}

fn tag_text(tag: &str) -> Result<String, LabelError> {
    match line("a tag", tag, MAX_TAG_BYTES)? {
        Edit::Set(tag) => Ok(tag),
        Edit::Leave | Edit::Remove => Err(LabelError::EmptyTag),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_leaves_what_it_does_not_speak_of() {
        let notes = ExperimentNotes {
            tags: Some(vec!["arm".into(), "old".into()]),
            description: Some("bright".into()),
            metadata: Some(json!({"host": "rover", "task": "stack", "success": false})),
            ..Default::default()
        };
        let change = LabelChange::new().success(Some(true)).remove_tag("old").unwrap();
        let change = change.add_tag("kitchen").unwrap().add_tag("arm").unwrap();
        let labels = Labels::from(&change.apply(&notes).unwrap());
        assert_eq!(labels.tags, ["arm", "kitchen"]);
        assert_eq!((labels.task.as_deref(), labels.success), (Some("stack"), Some(true)));
        assert_eq!(labels.notes.as_deref(), Some("bright"));
        assert_eq!(change.apply(&notes).unwrap().metadata.unwrap()["host"], "rover");
    }

    #[test]
    fn an_empty_text_removes_and_a_kept_experiment_has_no_mark() {
        let change = LabelChange::new().task("pick").unwrap().notes("n").unwrap().discarded(true);
        let notes = change.apply(&ExperimentNotes::default()).unwrap();
        assert!(Labels::from(&notes).discarded);
        let removal = LabelChange::new().task(" ").unwrap().notes("").unwrap().discarded(false);
        let removed = removal.success(None).apply(&notes).unwrap();
        assert_eq!(Labels::from(&removed), Labels::default());
        assert_eq!(removed.metadata, Some(json!({})));
    }

    #[test]
    fn what_others_wrote_in_another_type_counts_as_not_given() {
        let metadata = Some(json!({"task": 7, "success": "yes", "discarded": 1, "operator": ""}));
        let notes = ExperimentNotes { metadata, ..Default::default() };
        assert_eq!(Labels::from(&notes), Labels::default());
    }

    #[test]
    fn labels_that_would_break_a_list_are_refused_with_the_reason() {
        let message = |change: Result<LabelChange, LabelError>| change.unwrap_err().to_string();
        assert_eq!(message(LabelChange::new().add_tag(" ")), "a tag is empty");
        assert!(message(LabelChange::new().task("a\nb")).contains("single line"));
        assert!(message(LabelChange::new().operator("\u{1b}[31m")).contains("single line"));
        assert!(message(LabelChange::new().notes("a\u{7}")).contains("'\\u{7}'"));
        let long = LabelChange::new().notes(&"x".repeat(MAX_NOTES_BYTES + 1));
        assert_eq!(message(long), "the text of the notes has 65537 bytes; at most 65536 are kept");
        assert!(LabelChange::new().notes("two\nlines\tand tabs").is_ok());
        let many =
            (0..=MAX_TAGS).try_fold(LabelChange::new(), |all, i| all.add_tag(&format!("{i}")));
        let refused = many.unwrap().apply(&ExperimentNotes::default()).unwrap_err();
        assert_eq!(refused, LabelError::TooManyTags(MAX_TAGS + 1));
    }

    #[test]
    fn of_two_changes_the_first_goes_before_the_second() {
        let (flag, mapping) = (LabelChange::new().task("a").unwrap(), LabelChange::new());
        let mapping = mapping.task("b").unwrap().operator("me").unwrap().add_tag("t").unwrap();
        let both = flag.or(mapping);
        let labels = Labels::from(&both.apply(&ExperimentNotes::default()).unwrap());
        assert_eq!((labels.task.as_deref(), labels.operator.as_deref()), (Some("a"), Some("me")));
        assert_eq!(labels.tags, ["t"]);
        assert_eq!(both.success(Some(true)).carried().success, Edit::Leave);
    }
}
