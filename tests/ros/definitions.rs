//! Every message type of the ROS that is sourced, read from what it was written in and from the IDL
//! that rosidl made of it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use mldash_bridge::message::{Definitions, TypeName};

/// A prefix that has, of the definitions of the sourced ROS, only those in files of `extension`.
fn only(extension: &str) -> tempfile::TempDir {
    let prefix = tempfile::tempdir().unwrap();
    let sourced = std::env::var_os("AMENT_PREFIX_PATH").unwrap();
    for share in std::env::split_paths(&sourced).map(|prefix| prefix.join("share")) {
        for package in fs::read_dir(share).into_iter().flatten() {
            let folder = package.unwrap().path();
            let to = prefix.path().join("share").join(folder.file_name().unwrap()).join("msg");
            for file in fs::read_dir(folder.join("msg")).into_iter().flatten() {
                let file = file.unwrap().path();
                let copy = to.join(file.file_name().unwrap());
                if file.extension() == Some(OsStr::new(extension)) && !copy.exists() {
                    fs::create_dir_all(&to).unwrap();
                    std::os::unix::fs::symlink(&file, copy).unwrap();
                }
            }
        }
    }
    prefix
}

fn types(prefix: &Path) -> Vec<TypeName> {
    let definitions = Definitions::from_prefixes([prefix.to_owned()]);
    let packages = fs::read_dir(prefix.join("share")).unwrap();
    let names = packages.map(|package| package.unwrap().file_name().into_string().unwrap());
    names.flat_map(|name| definitions.types_of(&name)).collect()
}

#[test]
fn the_idl_of_every_type_says_the_same_as_its_msg_file() {
    let (msg, idl) = (only("msg"), only("idl"));
    let names = types(msg.path());
    assert!(names.len() > 150, "{}", names.len());
    let definitions = |prefix: &Path| Definitions::from_prefixes([prefix.to_owned()]);
    let (from_msg, from_idl) = (definitions(msg.path()), definitions(idl.path()));
    for name in names {
        let expected = from_msg.resolve(&name).unwrap();
        let found = from_idl.resolve(&name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}
