//! Datasets from recordings: what others read is what was recorded, at exact times, and what is missing is told.

mod append;
mod docs;
mod failures;
mod from_bag;
mod killed;
mod like_lerobot;
mod video;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use mldash_bridge::export::recipe::Recipe;
use mldash_bridge::export::{Account, ExportError, Progress, Recording, Target, export};
use mldash_bridge::track::{Experiment, Options};

use crate::python::oracle_python;

/// Any time after 2001.
pub const START: f64 = 1.6e9;

pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs one of `tests/oracles` and returns what it printed.
pub fn oracle(script: &str, args: &[&dyn AsRef<OsStr>]) -> String {
    let mut command = Command::new(oracle_python());
    command.arg(source("tests/oracles").join(script));
    let done = command.args(args.iter().map(|arg| arg.as_ref())).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}: {out}{err}");
    out.trim().to_owned()
}

/// A recording that is under way.
pub fn record(root: &Path, name: &str) -> Experiment {
    Experiment::open(name, Options::local(root)).unwrap()
}

/// Exports these experiments, in this order.
pub fn try_export(
    root: &Path,
    names: &[&str],
    recipe: &str,
    target: &Path,
) -> Result<Account, ExportError> {
    let recipe = Recipe::parse(recipe, "recipe").unwrap_or_else(|error| panic!("{error}"));
    let recordings: Vec<Recording> = (names.iter())
        .map(|name| {
            let experiment = Experiment::open_read_only(name, root).unwrap();
            Recording { name: (*name).to_owned(), experiment }
        })
        .collect();
    export(&recipe, &recordings, target, Target::New, &Progress::default())
}

/// A small PNG of one colour.
pub fn png(width: u32, height: u32, color: [u8; 3]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = color.repeat((width * height) as usize);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    file
}

/// Records a picture as the recorder does: a file, and a row that names it.
pub fn record_picture(exp: &Experiment, track: &str, index: usize, file: &[u8], secs: f64) {
    let name = format!("{index:06}.png");
    exp.files(track).save_bytes(file, &name).unwrap();
    let row = mldash_bridge::fields! {
        "path": format!("{track}/{name}"), "frame": &*name, "index": index as u64,
        "width": 8, "height": 8, "encoding": "rgb8"
    };
    exp.tracks(track).append(row, secs).unwrap();
}
