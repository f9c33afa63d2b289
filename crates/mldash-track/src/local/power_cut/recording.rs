//! Records what the store changes under a folder, and says what a power cut may leave of it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use parking_lot::Mutex;

/// A change, as `disk` reports it. Files are known by their inodes.
pub(crate) enum Change {
    Create(PathBuf, io::Result<Metadata>),
    Write(io::Result<Metadata>, Vec<u8>),
    Cut(io::Result<Metadata>, u64),
    /// At an offset, so many of the bytes that are there.
    WriteAgain(io::Result<Metadata>, u64, usize),
    Sync(io::Result<Metadata>),
    FailSync(io::Result<Metadata>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    CreateFolder(PathBuf),
    SyncFolder(PathBuf),
    SyncAll,
}

/// A recorded change. Files are numbered in the order of their creation, since inodes are reused.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(PathBuf, usize),
    Write(usize, Vec<u8>),
    Cut(usize, u64),
    WriteAgain(usize, Range<usize>),
    Sync(usize),
    /// The system takes what it did not write for clean.
    FailSync(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    CreateFolder(PathBuf),
    SyncFolder(PathBuf),
    SyncAll,
    /// From here on, what the test noted under this number must survive.
    Promise(usize),
}

#[derive(Default)]
struct Recording {
    root: PathBuf,
    steps: Vec<Step>,
    files: HashMap<(u64, u64), usize>,
    count: usize,
}

static RECORDINGS: Mutex<Vec<Recording>> = Mutex::new(Vec::new());

/// Starts to record changes under `root`.
pub(crate) fn start(root: &Path) {
    RECORDINGS.lock().push(Recording { root: root.to_owned(), ..Recording::default() });
}

/// Ends the recording and returns it.
pub(crate) fn stop(root: &Path) -> Vec<Step> {
    let mut recordings = RECORDINGS.lock();
    let at = recordings.iter().position(|recording| recording.root == root).unwrap();
    recordings.remove(at).steps
}

/// Notes a promise.
pub(crate) fn promise(root: &Path, number: usize) {
    let mut recordings = RECORDINGS.lock();
    let recording = recordings.iter_mut().find(|recording| recording.root == root).unwrap();
    recording.steps.push(Step::Promise(number));
}

/// Notes a change of the file or folder at `path`, if it is under a root that is recorded.
pub(crate) fn record(path: &Path, change: impl FnOnce() -> Change) {
    let mut recordings = RECORDINGS.lock();
    let recording = recordings.iter_mut().find(|recording| path.starts_with(&recording.root));
    if let Some(recording) = recording {
        let step = recording.step(change());
        recording.steps.push(step);
    }
}

impl Recording {
    fn step(&mut self, change: Change) -> Step {
        match change {
            Change::Create(path, metadata) => {
                let metadata = metadata.unwrap();
                let number = self.count;
                self.count += 1;
                self.files.insert((metadata.dev(), metadata.ino()), number);
                Step::Create(path, number)
            }
            Change::Write(file, bytes) => Step::Write(self.file(file), bytes),
            Change::Cut(file, len) => Step::Cut(self.file(file), len),
            Change::WriteAgain(file, offset, len) => {
                Step::WriteAgain(self.file(file), offset as usize..offset as usize + len)
            }
            Change::Sync(file) => Step::Sync(self.file(file)),
            Change::FailSync(file) => Step::FailSync(self.file(file)),
            Change::Rename(from, to) => Step::Rename(from, to),
            Change::Remove(path) => Step::Remove(path),
            Change::CreateFolder(path) => Step::CreateFolder(path),
            Change::SyncFolder(path) => Step::SyncFolder(path),
            Change::SyncAll => Step::SyncAll,
        }
    }

    fn file(&self, metadata: io::Result<Metadata>) -> usize {
        let metadata = metadata.unwrap();
        self.files[&(metadata.dev(), metadata.ino())]
    }
}

/// What a power cut leaves of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Synced,
    /// Everything.
    Live,
    /// Files have their length, and zeros where nothing was synced, as on XFS and ext4.
    Zeros,
    /// Half of the bytes.
    Half,
}

/// Files and folders, as they are and as a power cut is sure to leave them.
pub(crate) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// The nodes of the recording's files.
    files: Vec<usize>,
}

enum Node {
    File(Bytes),
    Folder { live: BTreeMap<String, usize>, synced: BTreeMap<String, usize> },
}

#[derive(Default)]
struct Bytes {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// What no later sync writes, unless it is written again.
    given_up: Range<usize>,
}

/// Paths and contents; `None` for a folder.
pub(crate) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

const ROOT: usize = 0;

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), nodes: vec![Node::folder()], files: Vec::new() }
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Create(path, number) => {
                assert_eq!(*number, self.files.len());
                let node = self.add(path, Node::File(Bytes::default()));
                self.files.push(node);
            }
            Step::Write(file, bytes) => self.file(*file).live.extend_from_slice(bytes),
            Step::Cut(file, len) => self.file(*file).live.truncate(*len as usize),
            Step::WriteAgain(file, again) => {
                let given_up = &mut self.file(*file).given_up;
                if again.start <= given_up.start {
                    given_up.start = given_up.start.max(again.end);
                }
            }
            Step::Sync(file) => self.file(*file).sync(),
            Step::FailSync(file) => {
                let file = self.file(*file);
                let synced = file.synced.len();
                let first = if file.given_up.is_empty() { synced } else { file.given_up.start };
                file.given_up = first.min(synced)..file.live.len();
            }
            Step::Rename(from, to) => {
                let node = self.take(from);
                self.put(to, node);
            }
            Step::Remove(path) => drop(self.take(path)),
            Step::CreateFolder(path) => drop(self.add(path, Node::folder())),
            Step::SyncFolder(path) => {
                let node = self.find(path);
                self.nodes[node].sync();
            }
            Step::SyncAll => self.nodes.iter_mut().for_each(Node::sync),
            Step::Promise(_) => {}
        }
    }

    /// What a power cut now may leave: `names` is said of each folder, `data` of each file.
    pub(crate) fn after_power_cut(
        &self,
        mut names: impl FnMut() -> Left,
        mut data: impl FnMut() -> Left,
    ) -> Tree {
        let mut tree = Tree::new();
        let mut to_do = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = to_do.pop() {
            let left = match &self.nodes[node] {
                Node::File(file) => Some(contents(&file.live, &file.synced, data())),
                Node::Folder { live, synced } => {
                    let entries = if names() == Left::Synced { synced } else { live };
                    to_do.extend(entries.iter().map(|(name, node)| (path.join(name), *node)));
                    None
                }
            };
            tree.insert(path, left);
        }
        tree
    }

    fn file(&mut self, number: usize) -> &mut Bytes {
        match &mut self.nodes[self.files[number]] {
            Node::File(bytes) => bytes,
            Node::Folder { .. } => panic!("a folder is written to"),
        }
    }

    fn entries(&mut self, folder: &Path) -> &mut BTreeMap<String, usize> {
        let node = self.find(folder);
        match &mut self.nodes[node] {
            Node::Folder { live, .. } => live,
            Node::File(_) => panic!("{} is no folder", folder.display()),
        }
    }

    fn find(&self, path: &Path) -> usize {
        let below = path.strip_prefix(&self.root).unwrap();
        below.iter().fold(ROOT, |node, name| match &self.nodes[node] {
            Node::Folder { live, .. } => *live
                .get(name.to_str().unwrap())
                .unwrap_or_else(|| panic!("{} was not made through `disk`", path.display())),
            Node::File(_) => panic!("{} is below a file", path.display()),
        })
    }

    fn add(&mut self, path: &Path, node: Node) -> usize {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.put(path, number);
        number
    }

    fn put(&mut self, path: &Path, node: usize) {
        self.entries(path.parent().unwrap()).insert(name_of(path), node);
    }

    fn take(&mut self, path: &Path) -> usize {
        let found = self.entries(path.parent().unwrap()).remove(&name_of(path));
        found.unwrap_or_else(|| panic!("{} was not made through `disk`", path.display()))
    }
}

impl Bytes {
    fn sync(&mut self) {
        self.synced.clone_from(&self.live);
        self.synced[self.given_up.clone()].fill(0);
    }
}

impl Node {
    fn folder() -> Self {
        Self::Folder { live: BTreeMap::new(), synced: BTreeMap::new() }
    }

    fn sync(&mut self) {
        match self {
            Self::File(bytes) => bytes.sync(),
            Self::Folder { live, synced } => synced.clone_from(live),
        }
    }
}

fn contents(live: &[u8], synced: &[u8], left: Left) -> Vec<u8> {
    match left {
        Left::Synced => synced.to_vec(),
        Left::Live => live.to_vec(),
        Left::Zeros => {
            let mut bytes = synced.to_vec();
            bytes.resize(live.len().max(synced.len()), 0);
            bytes
        }
        Left::Half if live.len() > synced.len() => {
            live[..synced.len() + (live.len() - synced.len()) / 2].to_vec()
        }
        Left::Half => synced.to_vec(),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// One of `all`, by chance.
pub(crate) fn any_of<'a>(all: &'a [Left], random: &'a mut Rng) -> impl FnMut() -> Left + 'a {
    move || all[random.usize(..all.len())]
}

/// Writes a tree to the disk.
pub(crate) fn build(tree: &Tree, root: &Path) {
    for (path, contents) in tree {
        match contents {
            None => fs::create_dir_all(root.join(path)).unwrap(),
            Some(bytes) => fs::write(root.join(path), bytes).unwrap(),
        }
    }
}

/// What is on the disk, without locks, which hold nothing that must survive.
pub(crate) fn tree_at(root: &Path) -> Tree {
    let mut tree = Tree::from([(PathBuf::new(), None)]);
    let mut to_do = vec![PathBuf::new()];
    while let Some(folder) = to_do.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let is_folder = root.join(&path).is_dir();
            if path.extension().is_some_and(|extension| extension == "lock") {
                continue;
            }
            let contents = (!is_folder).then(|| fs::read(root.join(&path)).unwrap());
            tree.insert(path.clone(), contents);
            to_do.extend(is_folder.then_some(path));
        }
    }
    tree
}
