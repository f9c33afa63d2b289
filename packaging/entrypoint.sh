#!/usr/bin/env bash
# Starts mldash_bridge in the image of Dockerfile.robot, with ROS and the overlay, if there is one.
set -eo pipefail
# shellcheck disable=SC1090,SC1091
source "/opt/ros/${ROS_DISTRO:?}/setup.bash"
if [[ -f /opt/overlay/setup.bash ]]; then
    # shellcheck disable=SC1091
    source /opt/overlay/setup.bash
fi
export AMENT_PREFIX_PATH=/opt/mldash:$AMENT_PREFIX_PATH
exec /opt/mldash/bin/mldash_bridge "$@"
