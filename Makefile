# What people run here. The work is in scripts/; `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build test lint deny soak fuzz packages demo install prefix-given clean

WITH_ROS := scripts/with-ros
# The ROS-free half is built and tested as on a machine that has no ROS at all.
NO_ROS := env -u ROS_DISTRO -u AMENT_PREFIX_PATH -u CMAKE_PREFIX_PATH -u LD_LIBRARY_PATH -u LD_PRELOAD -u PYTHONPATH
DOC := RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --document-private-items --quiet
CLIPPY := cargo clippy --locked --all-targets --quiet
NO_FEATURES := --no-default-features
# What is built and installed; tests say `PROFILE=dev`, which they have compiled by then.
PROFILE := release

# One build from nothing needs no incremental files.
ifdef CI
export CARGO_INCREMENTAL := 0
endif
SOAK := cargo test --locked --test ros -- --ignored --nocapture soak
# The ML-Dash SDK asks the Python index for newer releases at every import.
export ML_DASH_NO_VERSION_CHECK := 1

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what is missing: Debian packages, ROS 2 (unless there is one), tf2_msgs
	@scripts/setup

build: setup  ## the release program, target/release/mldash_bridge
	@$(WITH_ROS) cargo build --locked --profile $(PROFILE)

test: setup  ## all checks: lint, tests with and without ROS, installation
	@# Here, since nobody sees what a test that passes has said.
	@scripts/find-browser >/dev/null || echo "make test: tests of pages are skipped" >&2
	@scripts/azure-server >/dev/null || echo "make test: the test of Azure's store is skipped" >&2
	$(WITH_ROS) cargo build --locked --quiet --examples
	$(WITH_ROS) cargo test --locked --quiet --lib --bins --test ros --no-run
	@# Live tests mostly wait for one another's processes: lint fills the time, and gives way to them, or the soak would
	@# measure how busy the machine is. With ROS they are what a build with it can break, the rest is tested without. Tests run
	@# the examples.
	@nice -n 15 make --no-print-directory lint & lint=$$!; trap "kill $$lint 2>/dev/null || true" EXIT; \
		$(WITH_ROS) env MLDASH_SOAK_MINUTES=3 $(SOAK); \
		$(WITH_ROS) cargo test --locked --quiet --lib --bins --test ros; \
		wait $$lint
	@# Two minutes of fuzzing from the kept corpus, beside the other tests.
	$(NO_ROS) MLDASH_FUZZ_SECS=120 cargo test --locked --workspace $(NO_FEATURES) --quiet
	tests/install.sh

lint: setup  ## formatting, clippy and documentation in both feature sets, scripts
	cargo fmt --all --check
	@# With ROS the root package alone: the crates know no ROS, and their tests would give r2r's dependencies other features.
	$(WITH_ROS) $(CLIPPY) -- -D warnings
	$(NO_ROS) $(CLIPPY) --workspace $(NO_FEATURES) -- -D warnings
	@# Each crate alone, as another program takes it: together they lend each other features.
	for crate in crates/mldash-*; do $(NO_ROS) cargo clippy --locked --quiet -p "$${crate#crates/}" -- -D warnings; done
	$(WITH_ROS) env $(DOC)
	$(NO_ROS) $(DOC) --workspace $(NO_FEATURES)
	scripts/lint-features
	scripts/lint-scripts
	scripts/deny

deny:  ## what lint checks of dependencies, and known vulnerabilities (needs github.com)
	@scripts/deny --advisories

packages:  ## build the Debian package and the wheel without optimisation, install and try them; lint images and units
	$(NO_ROS) tests/packages.sh

demo:  ## play a robot's recording on a live ROS graph, record it and write a report, in under 30 s
	@# Not optimised: that takes half the time to compile and is quick enough for one robot. What needs no ROS is compiled while
	@# ROS is downloaded; if that fails, the build after it says why.
	@$(NO_ROS) cargo build --locked --quiet --profile demo $(NO_FEATURES) --lib 2>/dev/null & build=$$!; \
		trap "kill $$build 2>/dev/null || true" EXIT; scripts/setup; wait $$build || true
	@$(WITH_ROS) cargo build --locked --profile demo --bins --example play_bag
	@scripts/demo

MINUTES := 60
soak: setup  ## with MINUTES=N: a long recording on a live graph; memory, threads, handles and lag stay flat
	$(WITH_ROS) cargo build --locked --quiet --examples
	$(WITH_ROS) env MLDASH_SOAK_MINUTES=$(MINUTES) $(SOAK)

fuzz:  ## with MINUTES=N: each fuzz target for so long (scripts/fuzz)
	scripts/fuzz $(MINUTES)

install: prefix-given build  ## with PREFIX=DIR: a prefix for `ros2 launch`, `ros2 run` and PATH; man pages, completions
	@scripts/install "$(PREFIX)" $(PROFILE)

# Before the build, which takes minutes.
prefix-given:
	@[[ -n "$(PREFIX)" ]] || { echo "make install: say where to: make install PREFIX=/some/dir" >&2; exit 2; }

clean:  ## remove what was built; .ros, the environment, stays
	@cargo clean --quiet
	@rm -rf build install log dist
