//! Every change of the store to files and folders goes through here, so that a test can record the
//! changes and replay a power cut after each of them (`power_cut`). This module knows nothing of
//! what the files hold.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;
use tempfile::NamedTempFile;

#[cfg(test)]
use super::bad_disk;
use super::beneath::{self, How};
use super::handles;
#[cfg(test)]
use super::power_cut::recording::{Change, record};

/// Opens a file to read and append, creating it if it is not there.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    let is_new = !path.exists();
    let file = handles::open(path, How::MakeReadAppend)?;
    #[cfg(test)]
    if is_new {
        record(path, || Change::Create(path.to_owned(), file.metadata()));
    }
    Ok(file)
}

/// Creates a file to write; an error if there is one.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    bad_disk::check(path)?;
    let file = handles::open(path, How::New)?;
    #[cfg(test)]
    record(path, || Change::Create(path.to_owned(), file.metadata()));
    Ok(file)
}

/// Creates a file with a unique hidden name in the folder of `path`, to write and to read back. It is
/// removed when dropped.
pub(super) fn create_beside(path: &Path) -> io::Result<NamedTempFile> {
    #[cfg(test)]
    bad_disk::check(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(super::atomic::TEMPORARY);
    let folder = path.parent().unwrap_or(path);
    let file = builder.make_in(folder, |path| handles::open(path, How::NewReadWrite))?;
    #[cfg(test)]
    record(path, || Change::Create(file.path().to_owned(), file.as_file().metadata()));
    Ok(file)
}

/// Creates a file without a name in `folder`. It is gone once it is closed, also by a kill, and
/// holds nothing of a recording.
pub(super) fn scratch_file(folder: &Path) -> io::Result<File> {
    match handles::open(folder, How::Nameless) {
        // Not every file system has such files.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL)
            ) =>
        {
            let open = |path: &Path| handles::open(path, How::NewReadWrite);
            Ok(tempfile::Builder::new().prefix(".sorting.").make_in(folder, open)?.into_file())
        }
        opened => opened,
    }
}

/// Renames a file from [`create_beside`] to `path`, replacing the file there.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> Result<(), (NamedTempFile, io::Error)> {
    let (file, mut from) = file.into_parts();
    let renamed = handles::place(&from).and_then(|from| from.rename(&handles::place(path)?));
    if let Err(error) = renamed {
        return Err((NamedTempFile::from_parts(file, from), error));
    }
    #[cfg(test)]
    record(path, || Change::Rename(from.to_path_buf(), path.to_owned()));
    // Its old name is gone.
    from.disable_cleanup(true);
    Ok(())
}

/// Writes all of `bytes` at the end of `file`, which is at `path`.
pub(super) fn write_all(mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::check(path)?;
    file.write_all(bytes)?;
    let _ = path;
    #[cfg(test)]
    record(path, || Change::Write(file.metadata(), bytes.to_vec()));
    Ok(())
}

/// Writes what is in `file`, which is at `path`, from `offset` on once more, so that the next sync does.
pub(super) fn write_again(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::check(path)?;
    file.write_all_at(bytes, offset)?;
    let _ = path;
    #[cfg(test)]
    record(path, || Change::WriteAgain(file.metadata(), offset, bytes.len()));
    Ok(())
}

/// Cuts `file`, which is at `path`, to `len` bytes.
pub(super) fn cut(file: &File, path: &Path, len: u64) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::check(path)?;
    file.set_len(len)?;
    let _ = path;
    #[cfg(test)]
    record(path, || Change::Cut(file.metadata(), len));
    Ok(())
}

/// Makes what was written to `file`, which is at `path`, survive a power cut.
pub(super) fn sync(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::wait(path);
    #[cfg(test)]
    if let Err(error) = bad_disk::check_sync(path) {
        record(path, || Change::FailSync(file.metadata()));
        return Err(error);
    }
    file.sync_data()?;
    let _ = path;
    #[cfg(test)]
    record(path, || Change::Sync(file.metadata()));
    Ok(())
}

/// Makes the names in `folder` survive a power cut.
///
/// # Errors
/// Fails if the folder can't be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::wait(folder);
    match handles::open(folder, How::Read)?.sync_all() {
        // Some network file systems can't, and need not.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
        }
        synced => synced?,
    }
    #[cfg(test)]
    record(folder, || Change::SyncFolder(folder.to_owned()));
    Ok(())
}

/// Makes everything on the file system of `folder` survive a power cut.
pub(super) fn sync_file_system(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::wait(folder);
    let open = handles::open(folder, How::Read)?;
    rustix::fs::syncfs(&open)?;
    #[cfg(test)]
    record(folder, || Change::SyncAll);
    Ok(())
}

/// Renames a file or folder.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    bad_disk::check(to)?;
    handles::place(from)?.rename(&handles::place(to)?)?;
    #[cfg(test)]
    record(to, || Change::Rename(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Removes a file.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    handles::place(path)?.remove_file()?;
    #[cfg(test)]
    record(path, || Change::Remove(path.to_owned()));
    Ok(())
}

/// Removes an empty folder.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    handles::place(path)?.remove_folder()?;
    #[cfg(test)]
    record(path, || Change::Remove(path.to_owned()));
    Ok(())
}

/// Removes a folder and all that is in it.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    handles::place(path)?.remove_tree()?;
    #[cfg(test)]
    record(path, || Change::Remove(path.to_owned()));
    Ok(())
}

/// Creates a folder; an error if it is there.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    handles::place(path)?.create_folder()?;
    #[cfg(test)]
    record(path, || Change::CreateFolder(path.to_owned()));
    Ok(())
}

/// Creates a folder and those above it that are not there. Returns true if any was created.
pub(super) fn create_folders(path: &Path) -> io::Result<bool> {
    match create_folder(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => create_folders(parent)?,
                None => return Err(error),
            };
            create_folders(path)
        }
        // Also where nothing may be written, and for `.`, which is no name in a folder.
        Err(error) => match handles::folder(path) {
            Ok(_) => Ok(false),
            // What is there is a link, which is not followed.
            Err(why) if beneath::is_link(&why) => Err(why),
            Err(_) => Err(error),
        },
    }
}

/// Like [`create_folders`], and what was created survives a power cut.
pub(super) fn create_folders_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    create_folders(path)?;
    for folder in missing.iter().rev() {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}
