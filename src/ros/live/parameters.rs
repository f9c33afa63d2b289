//! The node's parameters, as `ros2 param` shows them: the settings of the run, fixed while it
//! lasts.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt};
use r2r::indexmap::IndexMap;
use r2r::{Parameter, ParameterValue, RosParams};

use crate::ros::EffectiveSettings;

const USE_SIM_TIME: &str = "use_sim_time";
/// The parameters of this node, from the command line or a parameter file.
const NAMES: [&str; 6] = ["config", "experiment", "root", "remote", "start_paused", USE_SIM_TIME];
/// Parameters that any node may get, even if it does not use them.
const OF_ANY_NODE: [&str; 2] = ["qos_overrides.", "start_type_description_service"];

/// Read-only parameters with their values.
struct Fixed(Vec<(&'static str, ParameterValue, &'static str)>);

/// Warns about unknown parameters, so that a mistyped name is noticed.
pub(super) fn warn_of_others(node: &r2r::Node) {
    let given = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    let is_of_any = |name: &str| OF_ANY_NODE.iter().any(|start| name.starts_with(start));
    let others: Vec<&str> = given
        .keys()
        .map(String::as_str)
        .filter(|name| !NAMES.contains(name) && !is_of_any(name))
        .collect();
    if !others.is_empty() {
        let (others, names) = (others.join(", "), NAMES.join(", "));
        tracing::warn!("ROS parameters without effect: {others}; this node has {names}");
    }
}

/// Whether receive times currently come from `/clock`.
pub(super) fn use_sim_time(node: &r2r::Node) -> bool {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    matches!(params.get(USE_SIM_TIME), Some(Parameter { value: ParameterValue::Bool(true), .. }))
}

/// Answers `ros2 param` and switches to simulated time.
pub(super) fn serve(
    node: &mut r2r::Node,
    settings: &EffectiveSettings,
) -> Result<BoxFuture<'static, ()>, r2r::Error> {
    let fixed = Arc::new(Mutex::new(Fixed::new(settings)));
    let (handler, _changes) = node.make_derived_parameter_handler(fixed)?;
    Ok(handler.boxed())
}

impl Fixed {
    fn new(settings: &EffectiveSettings) -> Self {
        let text = |text: &str| ParameterValue::String(text.to_owned());
        Self(vec![
            ("config", text(&settings.config), "The mapping file."),
            (
                "experiment",
                text(&settings.experiment),
                "The experiment that is recorded into first.",
            ),
            ("root", text(&settings.root), "The local store's root."),
            ("remote", text(&settings.remote), "The server to sync to; empty without one."),
            (
                "start_paused",
                ParameterValue::Bool(settings.start_paused),
                "Whether the recording started paused.",
            ),
        ])
    }

    fn refusal(name: &str) -> r2r::Error {
        let msg = "it is fixed while the node records; start the node anew to change it".to_owned();
        r2r::Error::ParameterValueConv { name: name.to_owned(), msg }
    }
}

impl RosParams for Fixed {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _param: Option<Parameter>,
        params: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        for (name, value, description) in &self.0 {
            params.insert((*name).to_owned(), Parameter { value: value.clone(), description });
        }
        let description = "Whether times are those of /clock.";
        let sim_time = params.entry(USE_SIM_TIME.to_owned());
        sim_time.or_insert_with(|| Parameter::new(ParameterValue::Bool(false))).description =
            description;
        Ok(())
    }

    /// r2r itself answers for registered parameters.
    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        Err(r2r::Error::InvalidParameterName { name: name.to_owned() })
    }

    fn set_parameter(&mut self, name: &str, _value: &ParameterValue) -> r2r::Result<()> {
        Err(Self::refusal(name))
    }

    fn check_parameter(&self, name: &str, _value: &ParameterValue) -> r2r::Result<()> {
        Err(Self::refusal(name))
    }
}
