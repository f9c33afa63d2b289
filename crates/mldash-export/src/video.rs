//! Videos by ffmpeg: one file for each episode while its frames come, and files of many episodes from those without
//! encoding them again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::ExportError;
use crate::picture::{Pixels, Samples, Shape};
use crate::recipe::VideoSettings;

const FFMPEG: &str = "ffmpeg";
const FFPROBE: &str = "ffprobe";
const INSTALL: &str = "install it (`apt-get install ffmpeg`), or write `as: image` into the recipe";
/// How much of ffmpeg's words an error shows.
const SHOWN_BYTES: u64 = 2000;

/// What a video is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VideoInfo {
    /// The codec's name, such as `av1`.
    pub(crate) codec: String,
    pub(crate) pix_fmt: String,
    pub(crate) frames: u64,
}

/// Checks that ffmpeg, ffprobe and the encoder are there.
pub(crate) fn check(settings: &VideoSettings) -> Result<(), ExportError> {
    for program in [FFPROBE, FFMPEG] {
        let version = Command::new(program).arg("-version").stdin(Stdio::null()).output();
        if let Err(error) = version {
            return Err(ExportError::NoEncoder(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("the recipe has videos, and there is no `{program}` on PATH; {INSTALL}")
                }
                _ => format!("the recipe has videos, and `{program}` can't be run: {error}"),
            }));
        }
    }
    let listed =
        run(FFMPEG, Command::new(FFMPEG).args(["-hide_banner", "-encoders"]), Path::new(""))?;
    let codec = settings.codec.as_str();
    let has_codec = |line: &str| line.split_whitespace().nth(1) == Some(codec);
    if String::from_utf8_lossy(&listed).lines().any(has_codec) {
        return Ok(());
    }
    Err(ExportError::NoEncoder(format!(
        "this ffmpeg has no encoder `{codec}` (see `ffmpeg -encoders`); install one that has it, or write another \
         into the recipe, such as `video: {{codec: libx264}}`"
    )))
}

/// Encodes the frames of an episode. A file that is not finished is removed by whoever made its folder.
pub(crate) struct VideoWriter {
    child: Child,
    input: Option<ChildStdin>,
    words: PathBuf,
    path: PathBuf,
    frames: u64,
}

impl VideoWriter {
    pub(crate) fn create(
        path: PathBuf,
        shape: Shape,
        fps: u32,
        settings: &VideoSettings,
    ) -> Result<Self, ExportError> {
        let words = path.with_extension("log");
        let log = File::create(&words).map_err(ExportError::io("create", &words))?;
        let mut command = Command::new(FFMPEG);
        command.args(["-hide_banner", "-loglevel", "error", "-y"]);
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-video_size", &format!("{}x{}", shape.width, shape.height)]);
        command.args(["-framerate", &fps.to_string(), "-i", "pipe:0", "-an"]);
        command.args(["-c:v", &settings.codec, "-crf", &settings.crf.to_string()]);
        command.args(["-g", &settings.gop.to_string(), "-pix_fmt", &settings.pix_fmt]);
        if let Some(preset) = &settings.preset {
            command.args(["-preset", preset]);
        }
        command.arg(&path).env("SVT_LOG", "1");
        // Ctrl-C in a terminal is for the export, which then ends it. It ends by itself when its input does.
        command.process_group(0);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        let mut child = spawned.map_err(ExportError::io("start ffmpeg for", &path))?;
        let input = child.stdin.take();
        Ok(Self { child, input, words, path, frames: 0 })
    }

    /// Adds the next frame.
    pub(crate) fn write(&mut self, pixels: &Pixels) -> Result<(), ExportError> {
        let Samples::Eight(samples) = &pixels.samples else {
            return Err(self.failed("pictures of 16 bits a sample can't be a video"));
        };
        let written = self.input.as_mut().map(|input| input.write_all(samples));
        if let Some(Err(error)) = written {
            // Why is in its own words, once it has ended.
            self.input = None;
            let _ = self.child.wait();
            return Err(self.failed(&error.to_string()));
        }
        self.frames += 1;
        Ok(())
    }

    /// Waits until all is encoded.
    pub(crate) fn finish(mut self) -> Result<PathBuf, ExportError> {
        self.input = None;
        let status =
            self.child.wait().map_err(ExportError::io("wait for ffmpeg on", &self.path))?;
        if !status.success() {
            return Err(self.failed(&status.to_string()));
        }
        let found = probe(&self.path)?.frames;
        if found != self.frames {
            let message = format!("the video has {found} frames in place of {}", self.frames);
            return Err(self.failed(&message));
        }
        let _ = fs::remove_file(&self.words);
        Ok(self.path.clone())
    }

    fn failed(&self, reason: &str) -> ExportError {
        let mut words = String::new();
        if let Ok(log) = File::open(&self.words) {
            // Without them, the reason stands alone.
            let _ = log.take(SHOWN_BYTES).read_to_string(&mut words);
        }
        let message = [reason, words.trim()].join("\n");
        let path = self.path.clone();
        ExportError::Ffmpeg { program: FFMPEG, path, message: message.trim().to_owned() }
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        // An export that fails leaves no process behind. One that has ended can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes one video of several of the same settings, one after the other.
pub(crate) fn concatenate(parts: &[PathBuf], path: &Path) -> Result<(), ExportError> {
    if let [part] = parts {
        return fs::rename(part, path).map_err(ExportError::io("create", path));
    }
    let list = path.with_extension("ffconcat");
    let mut text = "ffconcat version 1.0\n".to_owned();
    for part in parts {
        // Within quotes, only a quote is special.
        let quoted = part.to_string_lossy().replace('\'', r"'\''");
        text.push_str(&format!("file '{quoted}'\n"));
    }
    fs::write(&list, text).map_err(ExportError::io("write", &list))?;
    let mut command = Command::new(FFMPEG);
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    command.args(["-f", "concat", "-safe", "0", "-i"]).arg(&list);
    command.args(["-c", "copy", "-movflags", "+faststart"]).arg(path);
    run(FFMPEG, &mut command, path)?;
    for done in parts.iter().chain([&list]) {
        fs::remove_file(done).map_err(ExportError::io("remove", done))?;
    }
    Ok(())
}

/// What a video is like, counted and not as its header claims.
pub(crate) fn probe(path: &Path) -> Result<VideoInfo, ExportError> {
    let mut command = Command::new(FFPROBE);
    command.args(["-v", "error", "-select_streams", "v:0", "-count_packets", "-of", "json"]);
    command.args(["-show_entries", "stream=codec_name,pix_fmt,nb_read_packets"]).arg(path);
    let json = run(FFPROBE, &mut command, path)?;
    let damaged = |source| ExportError::Json { path: path.to_owned(), source };
    let found: serde_json::Value = serde_json::from_slice(&json).map_err(damaged)?;
    let text = |key: &str| found["streams"][0][key].as_str().unwrap_or_default().to_owned();
    let frames = text("nb_read_packets").parse().unwrap_or_default();
    Ok(VideoInfo { codec: text("codec_name"), pix_fmt: text("pix_fmt"), frames })
}

fn run(program: &'static str, command: &mut Command, path: &Path) -> Result<Vec<u8>, ExportError> {
    let failed = |message: String| ExportError::Ffmpeg { program, path: path.to_owned(), message };
    let done = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let words = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(failed(if words.is_empty() { done.status.to_string() } else { words }))
}
