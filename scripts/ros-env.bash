# shellcheck shell=bash
# Which ROS 2 this checkout uses and how a process is brought into it.
# Sourced by scripts/setup, scripts/with-ros and scripts/build-interfaces; runs nothing by itself
# and knows nothing of Rust or of this package.
#
# Three places, the first that is there wins:
#   sourced   ROS_DISTRO and AMENT_PREFIX_PATH are set by the caller's shell
#   system    /opt/ros/<distro>
#   wheels    ROS 2 Jazzy from the Python index, in .ros/venv (made by scripts/setup)
# Everything that is made here lives under .ros and is ignored by git:
#   .ros/venv           Python with the ML-Dash SDK for tests; with "wheels", ROS 2 itself too
#   .ros/overlays/<p>   interface packages that ROS lacks, made by scripts/build-interfaces

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
ROS_HOME_DIR=$ROOT/.ros
VENV=$ROS_HOME_DIR/venv
OVERLAYS=$ROS_HOME_DIR/overlays

# What r2r 0.9.7 compiles against, the best tried first.
SUPPORTED_DISTROS=(jazzy humble lyrical rolling iron)

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

is_supported() {
    local distro
    for distro in "${SUPPORTED_DISTROS[@]}"; do
        [[ $distro == "$1" ]] && return 0
    done
    return 1
}

# Drops what another checkout's with-ros put into the environment, so that this checkout's own is used.
leave_other_checkout() {
    local other=${MLDASH_WITH_ROS:-} var entry kept
    [[ -n $other && $other != "$ROOT" ]] || return 0
    for var in AMENT_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH PATH LD_PRELOAD; do
        kept=
        while IFS= read -r -d : entry; do
            [[ -z $entry || $entry == "$other/.ros/"* ]] || kept+=${kept:+:}$entry
        done <<<"${!var:-}:"
        if [[ -n $kept ]]; then export "$var=$kept"; else unset "$var"; fi
    done
    [[ ${MLDASH_ROS_KIND:-} == wheels ]] && unset ROS_DISTRO LD_PRELOAD
    unset MLDASH_WITH_ROS MLDASH_ROS_KIND
}

# Sets ROS_KIND (sourced, system or wheels) and, for the first two, the variables of that ROS.
choose_ros() {
    local distro
    if [[ -n ${ROS_DISTRO:-} && -n ${AMENT_PREFIX_PATH:-} ]]; then
        is_supported "$ROS_DISTRO" || die "ROS 2 $ROS_DISTRO is sourced, but r2r 0.9.7 compiles only against" \
            "${SUPPORTED_DISTROS[*]}. Source one of these, or start from a shell without ROS to have Jazzy installed in .ros."
        ROS_KIND=sourced
        return
    fi
    for distro in "${SUPPORTED_DISTROS[@]}"; do
        if [[ -f /opt/ros/$distro/setup.bash ]]; then
            ROS_KIND=system
            # An overlay that the caller has put in front stays in front.
            local front=${AMENT_PREFIX_PATH:-}
            set +u
            # shellcheck disable=SC1090
            source "/opt/ros/$distro/setup.bash"
            set -u
            [[ -z $front || $AMENT_PREFIX_PATH == "$front"* ]] || AMENT_PREFIX_PATH=$front:$AMENT_PREFIX_PATH
            return
        fi
    done
    ROS_KIND=wheels
}

# The pins and recipe that .ros/venv was made from; a venv with another stamp is made anew.
venv_stamp() {
    local pins=("$ROOT/requirements/sdk.txt")
    if [[ $ROS_KIND == wheels ]]; then pins+=("$ROOT/requirements/ros-jazzy.txt"); fi
    { printf '%s\n' "$ROOT" "$ROS_KIND" "${ROS_DISTRO:-jazzy}"; cat "${pins[@]}" "$ROOT/scripts/setup"; } | sha256sum | cut -c1-16
}

venv_is_ready() { [[ -f $VENV/.complete && $(<"$VENV/.complete") == "$(venv_stamp)" ]]; }

# Puts "$2…" in front of the path variable $1.
prepend() {
    local var=$1 joined
    shift
    printf -v joined '%s:' "$@"
    export "$var=$joined${!var:-}"
    export "$var=${!var%:}"
}

# Finished overlays only: build-interfaces writes .complete last.
overlay_prefixes() {
    local done_file
    for done_file in "$OVERLAYS"/*/.complete; do
        [[ -f $done_file ]] && dirname "$done_file"
    done
    return 0
}

# Exports all that native programs, rclpy and builds need. Call choose_ros first.
enter_ros() {
    local prefix site libs
    if [[ $ROS_KIND == wheels ]]; then
        site=$("$VENV/bin/python3" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
        export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
        # After what is there: a workspace on top stays on top.
        export AMENT_PREFIX_PATH=${AMENT_PREFIX_PATH:+$AMENT_PREFIX_PATH:}$VENV
        libs=$(printf ':%s' "$site"/ros_*.libs)
        export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$VENV/lib$libs
        # The wheels' libraries use Python's symbols without naming the library that has them.
        LD_PRELOAD=${LD_PRELOAD:+$LD_PRELOAD:}$(<"$VENV/.libpython")
        export LD_PRELOAD
        # Spares every Python start the wheels' re-execution of itself with a reshuffled LD_LIBRARY_PATH.
        export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
    fi
    while IFS= read -r prefix; do
        prepend AMENT_PREFIX_PATH "$prefix"
        prepend LD_LIBRARY_PATH "$prefix/lib"
        for site in "$prefix"/lib/python3*/site-packages "$prefix"/local/lib/python3*/dist-packages; do
            if [[ -d $site ]]; then prepend PYTHONPATH "$site"; fi
        done
    done < <(overlay_prefixes)
    prepend PATH "$VENV/bin"
    export MLDASH_WITH_ROS=$ROOT MLDASH_ROS_KIND=$ROS_KIND
}

# The first folder of AMENT_PREFIX_PATH that has the interface package $1.
find_interface_package() {
    local prefix
    while IFS= read -r -d : prefix; do
        if [[ -f $prefix/share/ament_index/resource_index/rosidl_interfaces/$1 ]]; then
            printf '%s\n' "$prefix"
            return 0
        fi
    done <<<"${AMENT_PREFIX_PATH:-}:"
    return 1
}

# A domain that nobody on this machine uses: DDS takes UDP ports from 7400 + 250 × domain on. The choice starts at random, so
# that two who choose at once differ.
free_domain() {
    local line domain first_port ports=()
    while read -ra line; do
        ports+=($((16#${line[1]##*:})))
    done < <(tail -q -n +2 /proc/net/udp /proc/net/udp6 2>/dev/null)
    local start=$((RANDOM % 101)) k port
    for ((k = 0; k < 101; k++)); do
        domain=$((1 + (start + k) % 101))
        first_port=$((7400 + 250 * domain))
        for port in "${ports[@]}"; do
            ((port < first_port || port >= first_port + 250)) || continue 2
        done
        echo "$domain"
        return
    done
    die "all ROS domains from 1 to 101 are in use on this machine"
}

# Cuts this process and its children off from other robots: a domain of their own, not beyond this machine.
own_graph() {
    ROS_DOMAIN_ID=$(free_domain)
    export ROS_DOMAIN_ID
    if [[ $ROS_DISTRO == humble ]]; then
        export ROS_LOCALHOST_ONLY=1
    else
        export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
    fi
}
