//! The target of `-o`. A file appears whole or not at all, also after a power cut. Anything else, such as a device or a
//! FIFO, is written into and never replaced.

use std::fs::{self, FileType, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write, stdout};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use mldash_bridge::track::sync_folder;
use tempfile::{Builder, NamedTempFile};

use super::Failure;

/// As an argument, this means stdout.
const STDOUT: &str = "-";
/// The same limit as in Linux.
const MAX_LINKS: usize = 40;
/// What some network file systems answer, which can't sync and need not.
const NO_SYNC: [ErrorKind; 2] = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
/// The permissions of a new file, before the umask.
const NEW_FILE_MODE: u32 = 0o666;

/// What to do with an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfThere {
    /// Replace it once the new one is whole.
    Replace,
    /// Report a usage error.
    Refuse,
    /// Report a usage error, which says that `--force` replaces it.
    RefuseUnlessForced,
}

/// What a path refers to after following symlinks.
enum Place {
    Stdout,
    /// An open file of this process or another: `/dev/fd/3`.
    OpenFile(PathBuf),
    /// Nothing exists there yet.
    New(PathBuf),
    There(PathBuf, FileType),
}

/// Returns true if data goes to stdout: without a path, for `-`, and for `/dev/stdout`.
pub(crate) fn is_stdout(path: Option<&Path>) -> bool {
    path.is_none_or(|path| matches!(place(path), Ok(Place::Stdout)))
}

/// Calls `write` with the file `path`, or with stdout if there is no path. A file appears under its
/// name only once it is complete.
pub(crate) fn write_to(
    path: Option<&Path>,
    if_there: IfThere,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        return write_into(stdout(), write);
    };
    let named = |action| move |error| cant(action, path, &error);
    match place(path).map_err(named("look at"))? {
        Place::Stdout => write_into(stdout(), write),
        Place::OpenFile(open) => {
            // Append to what others write there.
            let file = OpenOptions::new().append(true).open(open).map_err(named("open"))?;
            write_into(file, write)
        }
        Place::New(file) => write_file(path, file, None, if_there, write),
        Place::There(_, kind) if kind.is_dir() => {
            Err(Failure::usage(format!("{} is a folder; name a file", path.display())))
        }
        Place::There(_, kind) if kind.is_file() && if_there == IfThere::Refuse => {
            Err(is_there(path))
        }
        Place::There(_, kind) if kind.is_file() && if_there == IfThere::RefuseUnlessForced => {
            let path = path.display();
            let reason = format!(
                "{path} is there already; choose another name, or replace it with `--force`"
            );
            Err(Failure::usage(reason))
        }
        Place::There(file, kind) if kind.is_file() => {
            // A user who may not write to it may not replace it either.
            let old = OpenOptions::new().write(true).open(&file).map_err(named("write"))?;
            let permissions = old.metadata().map_err(named("look at"))?.permissions();
            write_file(path, file, Some(permissions), if_there, write)
        }
        Place::There(socket, kind) if kind.is_socket() => {
            write_into(UnixStream::connect(socket).map_err(named("connect to"))?, write)
        }
        Place::There(special, _) => {
            let special = OpenOptions::new().write(true).open(special).map_err(named("open"))?;
            write_into(special, write)
        }
    }
}

/// The error for a file that may not be replaced.
pub(crate) fn is_there(path: &Path) -> Failure {
    Failure::usage(format!("{} is there already; choose another name", path.display()))
}

fn cant(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("can't {action} {}: {error}", path.display()))
}

fn write_into(
    out: impl Write + Send,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(out);
    write(&mut out)?;
    Ok(out.flush()?)
}

/// Errors call `file` by the name `path`.
fn write_file(
    path: &Path,
    file: PathBuf,
    permissions: Option<fs::Permissions>,
    if_there: IfThere,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let named = |action| move |error: io::Error| cant(action, path, &error);
    // A partial file would mislead; it is removed if this fails.
    let mut part = create_beside(&file).map_err(named("create"))?;
    let mut out = BufWriter::new(part.as_file_mut());
    write(&mut out)?;
    out.flush().map_err(named("write"))?;
    drop(out);
    if let Some(permissions) = permissions {
        part.as_file().set_permissions(permissions).map_err(named("write"))?;
    }
    // Otherwise a power cut could take the old file and the new one.
    unless_impossible(part.as_file().sync_all(), &NO_SYNC).map_err(named("write"))?;
    let kept = match if_there {
        IfThere::Replace => part.persist(&file),
        IfThere::Refuse | IfThere::RefuseUnlessForced => part.persist_noclobber(&file),
    };
    kept.map_err(|error| cant("write", path, &error.error))?;
    // A folder may be written and not be read, such as one for what others hand in. The file is there.
    let synced = sync_folder(folder_of(&file));
    unless_impossible(synced, &[ErrorKind::PermissionDenied]).map_err(named("write"))
}

/// `synced`, unless its error says that it is not possible there at all.
fn unless_impossible(synced: io::Result<()>, impossible: &[ErrorKind]) -> io::Result<()> {
    match synced {
        Err(error) if impossible.contains(&error.kind()) => Ok(()),
        synced => synced,
    }
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A hidden file in the same folder, so that it can be renamed over the other.
fn create_beside(file: &Path) -> io::Result<NamedTempFile> {
    Builder::new()
        .prefix(".mldash_bridge.")
        .suffix(".partial")
        .permissions(fs::Permissions::from_mode(NEW_FILE_MODE))
        .tempfile_in(folder_of(file))
}

fn place(path: &Path) -> io::Result<Place> {
    if path == Path::new(STDOUT) {
        return Ok(Place::Stdout);
    }
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Some(place) = open_file(&path) {
            return Ok(place);
        }
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::New(path)),
            Err(error) => return Err(error),
        };
        if !kind.is_symlink() {
            return Ok(Place::There(path, kind));
        }
        // A link's target is relative to the link's own folder.
        let target = fs::read_link(&path)?;
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many symlinks, one leading to the next"))
}

/// Recognizes a path in the folder of a process's open files. Its links lead to no path: they may
/// be pipes, or files that have another name by now.
fn open_file(path: &Path) -> Option<Place> {
    let folder = fs::canonicalize(path.parent()?).ok()?;
    if !folder.starts_with("/proc") || folder.file_name()? != "fd" || !path.exists() {
        return None;
    }
    let own = fs::canonicalize("/proc/self/fd").is_ok_and(|own| own == folder);
    let is_stdout = own && path.file_name()? == "1";
    Some(if is_stdout { Place::Stdout } else { Place::OpenFile(path.to_owned()) })
}
