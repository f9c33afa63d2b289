#!/usr/bin/env bash
# Installation: `make install` and `colcon build` each make a prefix that ROS 2 accepts. Of the profile dev, which `make test`
# has compiled by then.
set -euo pipefail
# shellcheck source=scripts/ros-env.bash
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../scripts/ros-env.bash"
[[ ${MLDASH_WITH_ROS:-} == "$ROOT" ]] || exec "$ROOT/scripts/with-ros" "$0" "$@"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mldash-install.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Programs that ros2 starts log into the scratch folder too.
export ROS_LOG_DIR=$scratch/log

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
launch_arguments=(config topics all regex exclude exclude_types services actions split_every split_size experiment root remote start_paused
    task notes operator tags node_name namespace use_sim_time log_level duration)

# expect_file FILE…: each is there.
expect_file() {
    local file
    for file; do
        [[ -f $file ]] || die "missing: ${file#"$scratch"/}"
    done
}

# The prefix has what ROS 2 looks for, and its own ros2 finds the package, the program and the launch file.
expect_ros_prefix() {
    local prefix=$1 share=$1/share/mldash_bridge program=$1/lib/mldash_bridge/mldash_bridge source
    expect_file "$prefix/share/ament_index/resource_index/packages/mldash_bridge" "$share/package.xml" "$program"
    for source in "$ROOT"/launch/*.py "$ROOT"/config/*.{yaml,json} "$ROOT"/config/recipes/*.yaml; do
        cmp -s "$source" "$share/${source#"$ROOT"/}" || die "not as in the sources: ${share#"$scratch"/}/${source#"$ROOT"/}"
    done
    [[ $("$program" -V) == "mldash_bridge $version" ]] ||
        die "$program -V says '$("$program" -V)', not 'mldash_bridge $version'"
    expect_it_runs_unsourced "$program"
    expect_overlays_win "$program"
    expect_ros2_finds_it "$prefix"
}

# Where nothing is sourced, as under cron and systemd, all runs that needs no graph, and a node says what to source.
expect_it_runs_unsourced() {
    local program=$1 experiment=tests/install/unsourced root=$scratch/unsourced config=$ROOT/config/demo.yaml rows
    rm -rf "$root"
    env -i "$program" append "$experiment" arm --root "$root" <<<'{"_ts": 1.5, "q": 0.25}' 2>"$scratch/unsourced.log" ||
        { cat "$scratch/unsourced.log" >&2; die "env -i $program append failed"; }
    rows=$(env -i "$program" read "$experiment" arm --root "$root" --format jsonl)
    [[ $rows == '{"timestamp":1.5,"q":0.25}' ]] || die "env -i $program read says '$rows'"
    expect_it_says_what_to_source "$program" run --config "$config" --experiment tests/install/none --root "$root"
    expect_it_says_what_to_source "$program" check "$config" --graph
    expect_it_says_what_to_source "$program" init
    [[ ! -e $root/tests/install/none ]] || die "$program recorded without a graph"
}

# A sourced workspace's libraries go before those of the ROS that the program was built against.
expect_overlays_win() {
    local program=$1 overlay=$scratch/overlay loaded
    mkdir -p "$overlay"
    loaded=$(env -i LD_TRACE_LOADED_OBJECTS=1 "$program" | sed -n 's/.*librcutils.so => \(.*\) (0x.*/\1/p')
    expect_file "$loaded"
    cp "$loaded" "$overlay/"
    env -i LD_LIBRARY_PATH="$overlay" LD_TRACE_LOADED_OBJECTS=1 "$program" | grep -qF "librcutils.so => $overlay/" ||
        die "$program prefers $loaded to the overlay's"
}

expect_it_says_what_to_source() {
    local said status=0
    said=$(env -i "$@" 2>&1 </dev/null) || status=$?
    [[ $status == 2 && $said == *"no ROS 2 is sourced"* ]] || die "env -i $* ended with $status and said: $said"
}

expect_ros2_finds_it() {
    local shown argument
    if ! command -v ros2 >/dev/null; then
        say "skipped: ros2 launch and ros2 pkg, since ros2 is not on PATH"
        return
    fi
    local -x AMENT_PREFIX_PATH=$1:$AMENT_PREFIX_PATH
    [[ $(ros2 pkg executables mldash_bridge) == "mldash_bridge mldash_bridge" ]] ||
        die "ros2 pkg executables does not list the program"
    shown=$(ros2 launch mldash_bridge bridge.launch.py --show-args)
    for argument in "${launch_arguments[@]}"; do
        # Its name, a description under it, and a default.
        grep -A 2 -F "'$argument':" <<<"$shown" | grep -q 'default:' ||
            die "ros2 launch … --show-args says too little of '$argument':"$'\n'"$shown"
    done
}

# The package's version is said in two places; ROS tools read package.xml.
expect_one_version() {
    grep -q "<version>$version</version>" "$ROOT/package.xml" ||
        die "package.xml and Cargo.toml ($version) differ in the version"
}

install_makes_a_prefix() {
    local prefix="$scratch/a prefix"
    # The second time over what is there.
    for _ in once again; do
        make --no-print-directory -C "$ROOT" install PREFIX="$prefix" PROFILE=dev >"$scratch/make.log" 2>&1 ||
            { cat "$scratch/make.log" >&2; die "make install failed"; }
    done
    expect_ros_prefix "$prefix"
    expect_commands_work "$prefix"
}

# The line that the installation prints is all that the README's next commands need.
expect_commands_work() {
    local prefix=$1 line
    expect_file "$prefix"/share/man/man1/mldash_bridge{,-run,-experiments}.1 \
        "$prefix/share/bash-completion/completions/mldash_bridge" "$prefix/share/zsh/site-functions/_mldash_bridge" \
        "$prefix/share/fish/vendor_completions.d/mldash_bridge.fish"
    line=$(sed -n 's/^ *\(export PATH=.*\)/\1/p' "$scratch/make.log")
    [[ $(eval "$line" && mldash_bridge -V) == "mldash_bridge $version" ]] ||
        die "after '$line', mldash_bridge is not on PATH"
    if command -v ros2 >/dev/null; then
        [[ $(eval "$line" && ros2 run mldash_bridge mldash_bridge -V) == "mldash_bridge $version" ]] ||
            die "after '$line', ros2 run does not find the program"
    fi
}

# colcon of its own, apart from the ROS of this machine: the same everywhere.
colcon_venv() {
    local venv=$ROS_HOME_DIR/colcon requirements=$ROOT/requirements/colcon.txt
    if ! cmp -s "$requirements" "$venv/.complete"; then
        say "installing colcon in ${venv#"$ROOT"/}"
        rm -rf "$venv"
        "$VENV/bin/python3" -m venv "$venv"
        "$venv/bin/python3" -m pip install --quiet --no-deps --disable-pip-version-check --no-input -r "$requirements" >&2 ||
            die "pip failed. Check that this machine reaches the Python index, then run this again."
        cp "$requirements" "$venv/.complete"
    fi
    printf '%s\n' "$venv"
}

colcon_builds_it() {
    local workspace=$scratch/workspace venv python
    venv=$(colcon_venv)
    mkdir -p "$workspace/src" "$workspace/build/mldash_bridge"
    ln -s "$ROOT" "$workspace/src/mldash_bridge"
    # What cargo compiled serves colcon too: r2r alone would take minutes.
    ln -s "$ROOT/target/debug" "$workspace/build/mldash_bridge/debug"
    # A message package beside it, as robots have them.
    "$ROOT/scripts/build-interfaces" "$ROOT/tests/interfaces/arm_msgs" --sources-into "$workspace/src/arm_msgs"
    python=$(command -v python3)
    # Behind all else on PATH: colcon starts cargo, which looks for ament-build there. Each with the environment that it needs: if r2r
    # sees another one than before, it is compiled again, and once more without what it found the first time.
    (cd "$workspace" && PATH=$PATH:$venv/bin "$venv/bin/colcon" --log-level error build --base-paths src/mldash_bridge --cargo-args --locked &&
        PATH=$PATH:$venv/bin CMAKE_PREFIX_PATH=$AMENT_PREFIX_PATH:${CMAKE_PREFIX_PATH:-} \
            "$venv/bin/colcon" --log-level error build --base-paths src/arm_msgs \
            --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$python" -DPYTHON_EXECUTABLE="$python") \
        >"$scratch/colcon.log" 2>&1 || { tail -n 30 "$scratch/colcon.log" >&2; die "colcon build failed"; }
    expect_ros_prefix "$workspace/install/mldash_bridge"
    expect_file "$workspace/install/mldash_bridge/share/mldash_bridge/package.sh"
    expect_types_beside_it "$workspace/install"
}

# Once the workspace is sourced, the program knows the types of the package beside it.
expect_types_beside_it() {
    local install=$1 program=$1/mldash_bridge/lib/mldash_bridge/mldash_bridge mapping=$scratch/arm.yaml said status=0
    printf 'topics:\n  - {topic: /reach/_action/feedback, type: arm_msgs/action/Reach_FeedbackMessage, fields: [feedbak]}\n' >"$mapping"
    # What colcon writes reads variables that may not be set. Without colcon-bash there is a script for sh alone, which can't know
    # where it lies.
    # shellcheck disable=SC1091  # made above
    said=$(set +u && export COLCON_CURRENT_PREFIX=$install && source "$install/local_setup.sh" && "$program" check "$mapping" 2>&1) || status=$?
    [[ $status == 2 && $said == *"did you mean \`feedback\`"* ]] || die "check in the workspace ended with $status and said: $said"
}

expect_one_version
install_makes_a_prefix
colcon_builds_it
