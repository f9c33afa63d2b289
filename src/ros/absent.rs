//! The ROS side of a program built without ROS. It can't start.

use std::convert::Infallible;
use std::time::Duration;

use super::{
    GraphReport, NodeName, NodeSettings, ReplayError, ReplayReport, ReplaySettings, RosArguments,
    RosError, RosParameters, StopFlag,
};
use crate::export::ros2::RosRun;
use crate::mapping::Mapping;
use crate::message::Definitions;
use crate::record::Recorder;

/// None: this program knows no ROS.
pub fn built_with() -> Option<String> {
    None
}

/// A node that can't exist.
#[derive(Debug)]
pub struct RosNode(Infallible);

impl RosNode {
    /// Always [`RosError::NotBuilt`].
    ///
    /// # Errors
    /// Always fails.
    pub fn start(_default_name: &str, _args: &RosArguments) -> Result<Self, RosError> {
        Err(RosError::NotBuilt)
    }

    /// Never called, since no such node exists.
    pub fn name(&self) -> &NodeName {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    pub fn distro(&self) -> &'static str {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    pub fn middleware(&self) -> String {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    ///
    /// # Errors
    /// Never fails.
    pub fn parameters(&self) -> Result<RosParameters, RosError> {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    ///
    /// # Errors
    /// Never fails.
    pub fn observe(
        self,
        _mapping: Mapping,
        _definitions: Definitions,
        _listen: Duration,
        _stop: &StopFlag,
    ) -> Result<GraphReport, RosError> {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    pub fn record(
        self,
        _mapping: Mapping,
        _definitions: Definitions,
        _settings: NodeSettings,
        _recorder: &mut Recorder,
        _stop: &StopFlag,
    ) -> Result<(), RosError> {
        match self.0 {}
    }

    /// Never called, since no such node exists.
    ///
    /// # Errors
    /// Never fails.
    pub fn replay(
        self,
        _run: &RosRun,
        _settings: &ReplaySettings,
        _stop: &StopFlag,
    ) -> Result<ReplayReport, ReplayError> {
        match self.0 {}
    }
}
