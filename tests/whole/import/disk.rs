//! An import that runs out of disk ends, rather than read on and drop the rest.

use std::path::Path;

use super::{BAG, CONFIG, account, assert_same, import, tracks, tracks_of_the_bag};
use crate::small_disk::SmallDisk;

#[test]
fn an_import_onto_a_disk_that_is_low_ends_and_is_whole_once_there_is_space() {
    let Some(disk) = SmallDisk::mount(64 << 20) else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("m.yaml");
    let mapping = std::fs::read_to_string(CONFIG).unwrap();
    std::fs::write(&config, format!("{mapping}\nmin_free: 32MiB\n")).unwrap();
    let root = disk.path().join("root");

    disk.fill_but(20 << 20);
    let done = import(&[Path::new(BAG)], &config, &root);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("`min_free` is 32 MiB"), "{}", done.stderr);
    assert!(done.stderr.contains("import the bag again"), "{}", done.stderr);
    assert_eq!(account(&done)["complete"], false);

    disk.clear();
    let done = import(&[Path::new(BAG)], &config, &root);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_same(&tracks(&root), &tracks_of_the_bag(dir.path()));
}
