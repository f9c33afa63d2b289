//! Notes the revision that the program is built from, for `--version`.
//!
//! Makes the program start where ROS 2 is not sourced (cron, systemd, a plain shell), as long as ROS lies where it was built
//! against: `read`, `import`, `sync` and `serve` need nothing else of it.
//!
//! The program gets a RUNPATH, not an RPATH, so that LD_LIBRARY_PATH of a sourced workspace goes first: with an RPATH, the
//! libraries of an overlay would lose to those of the ROS beneath it. But a RUNPATH serves only the libraries that the
//! program itself names, and those of a ROS installation find each other by LD_LIBRARY_PATH. So the program names them all.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=MLDASH_REVISION={}", revision().unwrap_or_default());
    if env::var_os("CARGO_FEATURE_ROS").is_none() {
        return;
    }
    for variable in ["AMENT_PREFIX_PATH", "IDL_PACKAGE_FILTER"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if env::var_os("IDL_PACKAGE_FILTER").is_none() {
        println!(
            "cargo::warning=r2r compiles every message type that is sourced, which takes long: IDL_PACKAGE_FILTER is not set. \
             Call cargo in the folder of mldash_bridge, and colcon in that of the workspace (it overwrites .cargo/config.toml \
             where it is called)"
        );
    }
    let is_cross = env::var_os("HOST") != env::var_os("TARGET");
    if is_cross || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let prefixes = env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    let prefixes: Vec<PathBuf> = env::split_paths(&prefixes).collect();
    let linked: Vec<PathBuf> = linked(&prefixes).collect();
    let Some(needed) = needed(&linked, &prefixes) else {
        println!(
            "cargo::warning=the program will start only where ROS 2 is sourced: ldd is missing"
        );
        return;
    };
    let folders = needed.iter().chain(&linked).filter_map(|library| library.parent());
    let folders: BTreeSet<&Path> = folders.filter(|folder| !is_of_the_system(folder)).collect();

    let start = ["-Wl,--push-state", "-Wl,--no-as-needed"].map(str::to_owned).into_iter();
    let files = needed.iter().map(|library| library.display().to_string());
    // Libraries may leave symbols to whoever loads them.
    let end = ["-Wl,--pop-state", "-Wl,--allow-shlib-undefined", "-Wl,--enable-new-dtags"];
    let folders = folders.iter().map(|folder| format!("-Wl,-rpath,{}", folder.display()));
    for argument in start.chain(files).chain(end.map(str::to_owned)).chain(folders) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// The revision of git that the sources are of: of a checkout, of a published crate, or as who packages them says in
/// `MLDASH_BUILD_REVISION`. Whether files were changed since is not said: cargo would have to watch all of them.
fn revision() -> Option<String> {
    println!("cargo::rerun-if-env-changed=MLDASH_BUILD_REVISION");
    let said = env::var("MLDASH_BUILD_REVISION").ok().filter(|said| !said.is_empty());
    said.or_else(revision_of_checkout).or_else(revision_of_crate)
}

fn revision_of_checkout() -> Option<String> {
    // A checkout that this one lies in, as vendored sources do, is another project's.
    if !Path::new(".git").exists() {
        return None;
    }
    // A commit changes the branch's file, or the log of HEAD where branches are packed.
    for changed in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", changed])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// What `cargo publish` notes.
fn revision_of_crate() -> Option<String> {
    let noted = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = noted.split_once("\"sha1\": \"")?;
    after.split_once('"').map(|(revision, _)| revision.to_owned())
}

/// What r2r links: rcl, and three libraries for each package that it generates types of.
fn linked(prefixes: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    const RCL: [&str; 8] = [
        "rcl",
        "rcl_action",
        "rcl_logging_spdlog",
        "rcl_yaml_param_parser",
        "rcutils",
        "rmw_implementation",
        "rosidl_runtime_c",
        "rosidl_typesupport_c",
    ];
    const OF_A_PACKAGE: [&str; 3] = ["generator_c", "typesupport_c", "typesupport_introspection_c"];
    let packages: BTreeSet<String> = match env::var("IDL_PACKAGE_FILTER") {
        Ok(filter) => filter.split(';').map(str::to_owned).collect(),
        Err(_) => all_packages(prefixes),
    };
    let of_packages = packages
        .into_iter()
        .flat_map(|package| OF_A_PACKAGE.map(|kind| format!("{package}__rosidl_{kind}")));
    let names = RCL.map(str::to_owned).into_iter().chain(of_packages);
    names.filter_map(|name| {
        let file = |prefix: &PathBuf| prefix.join(format!("lib/lib{name}.so"));
        prefixes.iter().map(file).find(|file| file.is_file())
    })
}

/// Every interface package.
fn all_packages(prefixes: &[PathBuf]) -> BTreeSet<String> {
    let index =
        |prefix: &PathBuf| prefix.join("share/ament_index/resource_index/rosidl_interfaces");
    let files =
        prefixes.iter().filter_map(|prefix| index(prefix).read_dir().ok()).flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

/// What `linked` need of ROS, and what that needs, as the loader finds it in this environment. `None` without `ldd`.
fn needed(linked: &[PathBuf], prefixes: &[PathBuf]) -> Option<BTreeSet<PathBuf>> {
    let ldd = Command::new("ldd").args(linked).output().ok()?;
    let found = String::from_utf8_lossy(&ldd.stdout);
    // `	librcl.so => /opt/ros/jazzy/lib/librcl.so (0x…)`, or the path alone of what is preloaded.
    let found = found.lines().filter_map(|line| {
        let place = line.split_once(" => ").map_or(line, |(_, place)| place).trim();
        let path = place.rsplit_once(" (0x").map_or(place, |(path, _)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    let is_of_ros = |library: &Path| prefixes.iter().any(|prefix| library.starts_with(prefix));
    // A ROS from the Python index leaves Python's symbols to the program; scripts/with-ros preloads them.
    let is_python = |library: &Path| {
        let name = library.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with("libpython"))
    };
    let needed = found
        .filter(|library| is_python(library) || (is_of_ros(library) && !is_of_the_system(library)));
    Some(needed.filter(|library| library.is_file()).collect())
}

/// Where the loader looks anyway.
fn is_of_the_system(path: &Path) -> bool {
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].iter().any(|system| path.starts_with(system))
}
