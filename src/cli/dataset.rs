//! `mldash_bridge dataset`: recordings as a dataset to train on.

use std::io::stdout;
use std::path::PathBuf;

use clap::Args;
use mldash_bridge::export::account::ExperimentAccount;
use mldash_bridge::export::recipe::{Format, Recipe};
use mldash_bridge::export::{Account, Recording, Target, draft, export};

use super::args::RootArgs;
use super::exporting::Exporting;
use super::schema::Kind;
use super::target::{self, IfThere};
use super::{ExitCode, Failure, output, pattern};

#[derive(Debug, Args)]
pub(crate) struct DatasetArgs {
    /// The experiments, each an episode: names or globs such as 'alice/lab/run-*', in this order. What lies
    /// below a folder that matches is taken too.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
    /// The recipe (YAML): rate, features and where their values come from.
    #[arg(long, value_name = "FILE", required_unless_present = "init")]
    recipe: Option<PathBuf>,
    /// The folder to write; it must not exist yet, unless --append is given. With --init: the file to write
    /// instead of stdout.
    #[arg(short, long, value_name = "DIR", required_unless_present = "init")]
    output: Option<PathBuf>,
    /// The layout to write, whatever the recipe says.
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Add episodes to the dataset in DIR.
    #[arg(long)]
    append: bool,
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
    /// Write a recipe for what the experiment holds, to edit, and nothing else.
    #[arg(long, conflicts_with_all = ["recipe", "append", "format", "json"])]
    init: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// LeRobot v3.0.
    Lerobot,
    /// One table of Parquet, a folder for each episode.
    Parquet,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Lerobot => Self::LeRobot,
            FormatArg::Parquet => Self::Parquet,
        }
    }
}

pub(crate) fn run(args: &DatasetArgs) -> Result<ExitCode, Failure> {
    if args.init {
        return init(args).map(|()| ExitCode::Done);
    }
    let (Some(recipe), Some(output)) = (&args.recipe, &args.output) else {
        return Err(Failure::usage("`--recipe` and `--output` are needed"));
    };
    let mut recipe = Recipe::load(recipe)?;
    if let Some(format) = args.format {
        recipe = recipe.in_format(format.into())?;
    }
    let exporting = Exporting::start()?;
    let recordings = recordings(args)?;
    let target = if args.append { Target::Append } else { Target::New };
    let export = |progress: &_| export(&recipe, &recordings, output, target, progress);
    let account = exporting.run("frames", export)?;
    // Those of a dataset that was added to come first.
    let old = account.experiments.len().saturating_sub(recordings.len());
    let new = || account.experiments.iter().skip(old);
    output::write_report(&account, args.json, stdout(), |out| {
        new()
            .flat_map(|one| one.lines(account.fps))
            .try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "{}: {}", output.display(), sum(&account))
    })?;
    let is_missing = new().any(ExperimentAccount::gives_nothing);
    Ok(if is_missing { ExitCode::Missing } else { ExitCode::Done })
}

fn sum(account: &Account) -> String {
    let Account { episodes, frames, fps, .. } = account;
    format!("{episodes} episodes, {frames} frames at {fps} a second")
}

fn recordings(args: &DatasetArgs) -> Result<Vec<Recording>, Failure> {
    let names = pattern::names(&args.experiments, &args.root)?;
    Ok(Recording::open_all(names, args.root.path())?)
}

fn init(args: &DatasetArgs) -> Result<(), Failure> {
    let recordings = recordings(args)?;
    let [recording, rest @ ..] = recordings.as_slice() else { return Ok(()) };
    if !rest.is_empty() {
        tracing::info!("the recipe is for {}, the first of {}", recording.name, recordings.len());
    }
    let text = Kind::Recipe.editor_lines() + &draft(&recording.experiment)?;
    match Recipe::parse(&text, "init") {
        Ok(_) => {}
        // It has no feature that could be guessed, and its comments name what there is.
        Err(errors) => tracing::warn!("the recipe is not whole yet: {errors}"),
    }
    target::write_to(args.output.as_deref(), IfThere::Refuse, |out| {
        Ok(out.write_all(text.as_bytes())?)
    })
}
