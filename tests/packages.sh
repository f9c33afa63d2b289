#!/usr/bin/env bash
# Packages: a Debian package that runs in a clean Debian, a wheel that runs after nothing but `pip install`, and images and units that their
# checkers accept. Of the profile dev. With root rights and debootstrap the Debian is real; else the package is only unpacked.
set -euo pipefail
# shellcheck source=scripts/ros-env.bash
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../scripts/ros-env.bash"
cd "$ROOT"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mldash-packages.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# expect_it_works RUN…: what an ML person needs of the program, from a bag to a dataset, by the command `RUN… mldash_bridge`. $work is the folder that it
# sees as /work or by its own name.
expect_it_works() {
    local store=$work_there/store rows
    [[ $("$@" mldash_bridge -V) == "mldash_bridge $version" ]] || die "$* mldash_bridge -V does not say 'mldash_bridge $version'"
    "$@" mldash_bridge import "$work_there/loop.mcap" --config "$work_there/demo.yaml" --experiment a/b/loop --root "$store" \
        >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; die "$*: import failed"; }
    rows=$("$@" mldash_bridge read a/b/loop robot/pose --root "$store" --format jsonl | wc -l)
    [[ $rows == 225 ]] || die "$*: read gives $rows rows of robot/pose, not 225"
    rows=$("$@" mldash_bridge align a/b/loop --on robot/pose --with robot/odom --root "$store" --format jsonl | wc -l)
    [[ $rows == 225 ]] || die "$*: align gives $rows rows, not 225"
    "$@" mldash_bridge dataset a/b/loop --recipe "$work_there/drive_a_loop.yaml" -o "$work_there/dataset" --root "$store" \
        >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; die "$*: dataset failed"; }
    [[ -f $work/dataset/meta/info.json ]] || die "$*: the dataset has no meta/info.json"
    "$@" mldash_bridge report a/b/loop -o "$work_there/loop.html" --root "$store" \
        >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; die "$*: report failed"; }
    grep -q 'id="document"' "$work/loop.html" || die "$*: the report is no page"
}

# expect_editors_find_keys PREFIX RUN…: a recipe that the program writes names the schema that is installed in PREFIX.
expect_editors_find_keys() {
    local schema=$1/share/mldash_bridge/config/recipe.schema.json line
    shift
    line=$("$@" mldash_bridge dataset --init a/b/loop --root "$work_there/store")
    line=${line%%$'\n'*}
    [[ $line == "# yaml-language-server: \$schema=$schema" ]] || die "$*: a recipe begins with '$line'"
    "$@" /bin/sh -c "test -f '$schema'" || die "not installed: $schema"
}

# A folder with the bag, its mapping and a recipe: $work here, $work_there for the program.
set_out() {
    work=$1 work_there=$2
    mkdir -p "$work"
    cp tests/data/sena_lab_loop.mcap "$work/loop.mcap"
    cp config/demo.yaml tests/data/drive_a_loop.yaml "$work/"
}

# in_debian CMD…: in the Debian at $root, with a /proc, as machines have one, for the time of the call.
in_debian() {
    # shellcheck disable=SC2016  # for the inner shell
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" env -i PATH=/usr/bin "$@"' "$root" "$@"
}

debian_package() {
    local deb root=$scratch/root program=${MLDASH_PROGRAM:-$ROOT/target/debug/mldash_bridge}
    # What `cargo test --no-default-features` has compiled. After a build with ROS, which a clean Debian can't run, one of its own.
    [[ $("$program" --version 2>/dev/null) == *"ROS 2: none"* ]] || program=
    rm -f dist/*.deb
    MLDASH_PROGRAM=$program scripts/package deb dev >"$scratch/deb.log" 2>&1 || { tail -n 30 "$scratch/deb.log" >&2; die "no Debian package"; }
    deb=$(echo dist/mldash-bridge_"$version"-*.deb)
    [[ $(dpkg-deb --field "$deb" Depends) == *libc6* ]] || die "$deb does not say what it depends on"
    if ((EUID == 0)) && command -v debootstrap >/dev/null; then
        debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >"$scratch/debootstrap.log" 2>&1 ||
            { tail "$scratch/debootstrap.log" >&2; die "debootstrap failed"; }
        cp "$deb" "$root/tmp/package.deb"
        chroot "$root" apt-get install -y --no-install-recommends /tmp/package.deb >"$scratch/apt.log" 2>&1 ||
            { tail "$scratch/apt.log" >&2; die "apt-get does not install $deb"; }
        set_out "$root/work" /work
        expect_it_works in_debian
        expect_editors_find_keys /usr in_debian
        chroot "$root" test -f /usr/lib/systemd/system/mldash-serve.service
    else
        say "the Debian package is unpacked, not installed: that takes root rights and debootstrap"
        dpkg-deb -x "$deb" "$root"
        set_out "$scratch/work" "$scratch/work"
        expect_it_works env -i PATH="$root/usr/bin"
        expect_editors_find_keys "$root/usr" env -i PATH="$root/usr/bin"
    fi
    [[ -f $root/usr/share/man/man1/mldash_bridge-import.1.gz ]] || die "$deb has no man pages"
}

wheel() {
    local venv=$scratch/venv
    rm -f dist/*.whl
    scripts/package wheel dev >"$scratch/wheel.log" 2>&1 || { tail -n 30 "$scratch/wheel.log" >&2; die "no wheel"; }
    python3 -m venv "$venv"
    # From nothing but the file: it needs no other package.
    "$venv/bin/pip" install --quiet --no-index --disable-pip-version-check "$ROOT"/dist/mldash_bridge-"$version"-*.whl || die "pip does not install the wheel"
    set_out "$scratch/wheel" "$scratch/wheel"
    expect_it_works env -i PATH="$venv/bin"
}

images_and_units() {
    "$ROOT/scripts/test-python" packages
    "$ROS_HOME_DIR/packages/bin/hadolint" packaging/Dockerfile.* || die "hadolint has objections"
    if ! command -v systemd-analyze >/dev/null; then
        say "skipped: systemd-analyze is not installed"
        return
    fi
    local unit
    for unit in packaging/*.service; do
        # The program and its man pages are not installed here.
        sed -e 's:^\(ExecStart=\)/usr/bin/mldash_bridge:\1/bin/true:' "$unit" >"$scratch/${unit##*/}"
        if ! systemd-analyze verify --man=no "$scratch/${unit##*/}" >"$scratch/said" 2>&1 || [[ -s $scratch/said ]]; then
            cat "$scratch/said" >&2
            die "$unit has mistakes"
        fi
    done
}

images_and_units
# First the wheel: what it compiles serves the Debian package too.
wheel
debian_package
