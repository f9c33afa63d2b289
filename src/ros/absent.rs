//! The ROS side of a program that was built without ROS: it can't start.

use std::convert::Infallible;
use std::time::Duration;

use super::{GraphReport, NodeName, NodeSettings, RosArguments, RosError, RosParameters, StopFlag};
use crate::mapping::Mapping;
use crate::message::Definitions;
use crate::record::Recorder;

/// A node that there can't be.
#[derive(Debug)]
pub struct RosNode(Infallible);

impl RosNode {
    /// Always [`RosError::NotBuilt`].
    ///
    /// # Errors
    /// Always.
    pub fn start(_default_name: &str, _args: &RosArguments) -> Result<Self, RosError> {
        Err(RosError::NotBuilt)
    }

    /// Never called: there is no such node.
    pub fn name(&self) -> &NodeName {
        match self.0 {}
    }

    /// Never called: there is no such node.
    pub fn distro(&self) -> &'static str {
        match self.0 {}
    }

    /// Never called: there is no such node.
    pub fn middleware(&self) -> String {
        match self.0 {}
    }

    /// Never called: there is no such node.
    ///
    /// # Errors
    /// None.
    pub fn parameters(&self) -> Result<RosParameters, RosError> {
        match self.0 {}
    }

    /// Never called: there is no such node.
    ///
    /// # Errors
    /// None.
    pub fn observe(
        self,
        _mapping: Mapping,
        _definitions: Definitions,
        _listen: Duration,
        _stop: &StopFlag,
    ) -> Result<GraphReport, RosError> {
        match self.0 {}
    }

    /// Never called: there is no such node.
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
}
