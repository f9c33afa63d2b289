# A recorder for a robot with ROS 2 Jazzy. From the checkout:
#   docker build -f packaging/Dockerfile.robot -t mldash_bridge:jazzy .
#   docker run --rm --network host --ipc host -v "$PWD/data:/data" mldash_bridge:jazzy run --config /data/robot.yaml
# With message packages of your own, build FROM this image and source them in /opt/overlay/setup.bash.
FROM ros:jazzy AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends curl libclang-dev && rm -rf /var/lib/apt/lists/* && \
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.91
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /src
COPY . .
# Without a .git in the image: docker build --build-arg REVISION="$(git rev-parse HEAD)" …
ARG REVISION=
ENV MLDASH_BUILD_REVISION=$REVISION
RUN . /opt/ros/jazzy/setup.bash && cargo build --locked --release && scripts/install /opt/mldash

FROM ros:jazzy
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ros-jazzy-common-interfaces ros-jazzy-tf2-msgs && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mldash /opt/mldash
COPY packaging/entrypoint.sh /usr/local/bin/mldash-entrypoint
# What it records belongs to the user of the robot, not to root: docker run --user "$(id -u):$(id -g)" …
USER 1000
WORKDIR /data
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/mldash-entrypoint"]
CMD ["--help"]
