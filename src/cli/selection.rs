//! Which topics `run` and `import` record: by a mapping, or by options that mean one.

use std::path::{Path, PathBuf};

use clap::Args;
use mldash_bridge::mapping::{
    CallSelection, Mapping, SelectionSettings, Split, SplitEvery, SplitSize, TopicPattern,
    TopicPatternError, TopicSelection,
};
use mldash_bridge::message::{Definitions, TypeName};

use super::args::DestinationArgs;
use super::calls::CallArgs;
use super::schema::Kind;
use super::target::{self, IfThere};
use super::{Failure, is_mapping};

/// The mapping, or what selects topics without one.
#[derive(Clone, Debug, Args)]
pub(super) struct SelectionArgs {
    /// The mapping (YAML): which topics become which tracks.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Record these topics without a mapping, with the defaults of config/bridge.yaml: names, or globs
    /// such as '/camera/**'.
    #[arg(long, value_name = "TOPIC", num_args = 1..)]
    topics: Vec<TopicPattern>,
    /// Record all topics but hidden ones, /rosout and /parameter_events.
    #[arg(short, long)]
    all: bool,
    /// Record topics in whose names this regular expression is found.
    #[arg(short = 'e', long, value_name = "REGEX", value_parser = regex)]
    regex: Option<TopicPattern>,
    /// Leave these out of --all, --regex and globs: names or globs.
    #[arg(long, value_name = "TOPIC", num_args = 1.., alias = "exclude-topics")]
    exclude: Vec<TopicPattern>,
    /// Leave out topics in whose names this regular expression is found.
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    exclude_regex: Option<TopicPattern>,
    /// Leave out topics of these types: sensor_msgs/msg/PointCloud2.
    #[arg(long, value_name = "TYPE", num_args = 1.., alias = "exclude-topic-types")]
    exclude_types: Vec<TypeName>,
    /// Write the mapping that these options mean to a file that must not exist yet, and record nothing; `-`
    /// is stdout.
    #[arg(long, value_name = "FILE")]
    write_config: Option<PathBuf>,
    #[command(flatten)]
    calls: CallArgs,
    #[command(flatten)]
    split: SplitArgs,
}

/// When parts end by themselves. What is not given comes from the mapping.
#[derive(Clone, Copy, Debug, Args)]
struct SplitArgs {
    /// Continue in the next part after so long: 10min, 2h, or seconds. Default: `split` of the mapping.
    #[arg(long, value_name = "SPAN", alias = "max-bag-duration")]
    split_every: Option<SplitEvery>,
    /// Continue in the next part after so many bytes of messages: 4GiB. Default: `split` of the mapping.
    #[arg(long, value_name = "SIZE", alias = "max-bag-size")]
    split_size: Option<SplitSize>,
}

/// Where the mapping comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A file, and what is recorded besides.
    File(PathBuf, CallSelection),
    Options(TopicSelection),
}

impl SelectionArgs {
    /// What the command line says; `None` if it says nothing.
    pub(super) fn source(&self) -> Result<Option<Source>, Failure> {
        let source = source(self.config.as_deref(), self.selection())?;
        if self.write_config.is_some() && !matches!(source, Some(Source::Options(_))) {
            return Err(Failure::usage(
                "`--write-config` writes what options such as `--topics`, `--all` and `--services` mean, without \
                 `--config`; give one of them",
            ));
        }
        Ok(source)
    }

    /// The limits of parts that the command line says.
    pub(super) fn split(&self) -> Split {
        let SplitArgs { split_every, split_size } = self.split;
        Split { every: split_every, size: split_size, rows: None }
    }

    /// The mapping with the limits of parts that the command line says.
    pub(super) fn split_by(&self, mapping: Mapping) -> Result<Mapping, Failure> {
        let split = self.split();
        if mapping.snapshot().is_some() && split != Split::default() {
            return Err(Failure::usage(
                "a snapshot has no parts to split: leave `--split-every` and `--split-size` out, or `snapshot` of \
                 the mapping",
            ));
        }
        Ok(mapping.with_split(split))
    }

    /// Writes the mapping that the options mean, if that is asked for. Returns true then.
    pub(super) fn write_config(&self, text: &str) -> Result<bool, Failure> {
        let Some(file) = &self.write_config else { return Ok(false) };
        let file = Some(file.as_path()).filter(|file| !target::is_stdout(Some(file)));
        let text = Kind::Mapping.editor_lines() + text;
        target::write_to(file, IfThere::Refuse, |out| Ok(out.write_all(text.as_bytes())?))?;
        if let Some(file) = file {
            tracing::info!("{} is written; record by it with `--config`", file.display());
        }
        Ok(true)
    }

    /// The services and actions that the command line says.
    pub(super) fn calls(&self) -> CallSelection {
        self.calls.selection()
    }

    fn selection(&self) -> TopicSelection {
        TopicSelection {
            topics: self.topics.clone(),
            all: self.all,
            regex: self.regex.clone(),
            exclude: self.exclude.iter().chain(&self.exclude_regex).cloned().collect(),
            exclude_types: self.exclude_types.clone(),
            calls: self.calls(),
        }
    }
}

/// One of a file and options, or neither. Services and actions go beside both.
pub(super) fn source(
    config: Option<&Path>,
    selection: TopicSelection,
) -> Result<Option<Source>, Failure> {
    match config {
        None if selection.is_empty() => Ok(None),
        None => {
            selection.check().map_err(Failure::usage)?;
            Ok(Some(Source::Options(selection)))
        }
        Some(config) if !selection.says_topics() => {
            Ok(Some(Source::File(config.to_owned(), selection.calls)))
        }
        Some(config) => Err(Failure::usage(format!(
            "the mapping {} says which topics are recorded, and so do options or parameters such as `topics`, \
             `all` and `exclude`; give one of the two, or write `exclude:` into the mapping",
            config.display()
        ))),
    }
}

/// The text of the mapping that options mean, with what else the command line says of the recording.
pub(super) fn text(
    selection: &TopicSelection,
    split: Split,
    start_paused: bool,
    destination: &DestinationArgs,
) -> String {
    let root = destination.root.as_ref().map(|root| root.display().to_string());
    let experiment = destination.experiment.clone();
    selection.mapping(&SelectionSettings { experiment, root, split, start_paused })
}

/// The mapping that options mean, for topics of a graph.
pub(super) fn for_graph(selection: &TopicSelection, text: &str) -> Result<Mapping, Failure> {
    selection.check_for_graph().map_err(Failure::usage)?;
    Ok(Mapping::of_options(text, Some(&Definitions::from_environment()))?)
}

/// What to write instead of a word without its option.
pub(super) fn misplaced(word: &str) -> Failure {
    let is_topic = word.starts_with('/') && !is_mapping(Path::new(word));
    Failure::usage(match is_topic {
        true => format!("`{word}` has no option before it; write `--topics {word}` for topics"),
        false => format!(
            "`{word}` has no option before it; write `--config {word}` for a mapping, and use `import` for bags"
        ),
    })
}

fn regex(text: &str) -> Result<TopicPattern, TopicPatternError> {
    TopicPattern::regex(text)
}
