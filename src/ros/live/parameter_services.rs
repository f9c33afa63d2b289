//! The services behind `ros2 param`: they show the settings of the run, fixed while it lasts, and what is
//! said of the part that is recorded, which can be set.
//!
//! They are ours, because r2r's handler of them panics if an answer can't be sent.

use r2r::rcl_interfaces::msg::{
    ListParametersResult, Parameter, ParameterDescriptor, ParameterType as Type,
    ParameterValue as Shown, SetParametersResult,
};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters,
    SetParametersAtomically,
};
use r2r::{ParameterValue, QosProfile, WrappedServiceTypeSupport};

use super::parameters::{NOTES, OPERATOR, SUCCESS, TAGS, TASK, USE_SIM_TIME, said_by};
use super::request_queue::{Request, RequestQueue};
use super::said_labels::SaidLabels;
use super::selection;
use super::services::{Requests, next_request, respond};
use crate::ros::EffectiveSettings;
use crate::track::LabelChange;

/// The parameters that can be set while the node records, with their descriptions.
const SETTABLE: [(&str, &str); 3] = [
    (TASK, "What the robot is to do: of this part and the next ones."),
    (SUCCESS, "Whether it did, in this part."),
    (NOTES, "Notes on this part."),
];

/// The services.
pub(super) struct ParameterServices {
    parameters: Parameters,
    describe: Requests<DescribeParameters::Service>,
    get: Requests<GetParameters::Service>,
    list: Requests<ListParameters::Service>,
    set: Requests<SetParameters::Service>,
    set_atomically: Requests<SetParametersAtomically::Service>,
    types: Requests<GetParameterTypes::Service>,
}

/// The parameters.
struct Parameters {
    fixed: Vec<(&'static str, Shown, &'static str)>,
    said: SaidLabels,
    requests: RequestQueue,
}

impl ParameterServices {
    /// What is said of the part goes to `requests`.
    pub(super) fn offer(
        node: &mut r2r::Node,
        settings: &EffectiveSettings,
        use_sim_time: bool,
        said: SaidLabels,
        requests: RequestQueue,
    ) -> Result<Self, r2r::Error> {
        Ok(Self {
            describe: offer(node, "describe_parameters")?,
            get: offer(node, "get_parameters")?,
            list: offer(node, "list_parameters")?,
            set: offer(node, "set_parameters")?,
            set_atomically: offer(node, "set_parameters_atomically")?,
            types: offer(node, "get_parameter_types")?,
            parameters: Parameters { fixed: fixed(settings, use_sim_time), said, requests },
        })
    }

    /// Answers new requests.
    pub(super) fn answer(&mut self) {
        let parameters = &self.parameters;
        answer(&mut self.describe, |request| DescribeParameters::Response {
            descriptors: request.names.iter().map(|name| parameters.describe(name)).collect(),
        });
        answer(&mut self.get, |request| GetParameters::Response {
            values: request.names.iter().map(|name| parameters.value(name)).collect(),
        });
        answer(&mut self.list, |request| ListParameters::Response {
            result: ListParametersResult {
                names: parameters.names_below(&request.prefixes),
                prefixes: Vec::new(),
            },
        });
        answer(&mut self.set, |request| SetParameters::Response {
            results: request
                .parameters
                .iter()
                .map(|parameter| result(parameters.set(std::slice::from_ref(parameter))))
                .collect(),
        });
        answer(&mut self.set_atomically, |request| SetParametersAtomically::Response {
            result: result(parameters.set(&request.parameters)),
        });
        answer(&mut self.types, |request| GetParameterTypes::Response {
            types: request.names.iter().map(|name| parameters.value(name).type_).collect(),
        });
    }
}

fn offer<T: WrappedServiceTypeSupport + 'static>(
    node: &mut r2r::Node,
    name: &str,
) -> Result<Requests<T>, r2r::Error> {
    let requests = node.create_service::<T>(&format!("~/{name}"), QosProfile::default())?;
    Ok(Box::new(requests))
}

fn answer<T: WrappedServiceTypeSupport + 'static>(
    requests: &mut Requests<T>,
    response: impl Fn(&T::Request) -> T::Response,
) {
    while let Some(request) = next_request(requests) {
        let response = response(&request.message);
        respond(request, response);
    }
}

fn result(set: Result<(), String>) -> SetParametersResult {
    match set {
        Ok(()) => SetParametersResult { successful: true, reason: String::new() },
        Err(reason) => SetParametersResult { successful: false, reason },
    }
}

/// The settings of the run.
fn fixed(
    settings: &EffectiveSettings,
    use_sim_time: bool,
) -> Vec<(&'static str, Shown, &'static str)> {
    let mut fixed = vec![
        ("config", text(&settings.config), "The mapping file."),
        ("experiment", text(&settings.experiment), "The experiment that is recorded into first."),
        ("root", text(&settings.root), "The local store's root."),
        ("remote", text(&settings.remote), "The server to sync to; empty without one."),
        ("start_paused", truth(settings.start_paused), "Whether the recording started paused."),
        (OPERATOR, text(&settings.operator), "Who runs the robot."),
        (TAGS, texts(settings.tags.clone()), "Tags of every part."),
        (USE_SIM_TIME, truth(use_sim_time), "Whether times are those of /clock."),
    ];
    fixed.extend(selection::shown(&settings.selection));
    fixed
}

pub(super) fn text(text: &str) -> Shown {
    let (type_, string_value) = (Type::PARAMETER_STRING as u8, text.to_owned());
    Shown { type_, string_value, ..Shown::default() }
}

pub(super) fn texts(string_array_value: Vec<String>) -> Shown {
    Shown { type_: Type::PARAMETER_STRING_ARRAY as u8, string_array_value, ..Shown::default() }
}

pub(super) fn truth(bool_value: bool) -> Shown {
    Shown { type_: Type::PARAMETER_BOOL as u8, bool_value, ..Shown::default() }
}

impl Parameters {
    /// The value; not set if there is no such parameter.
    fn value(&self, name: &str) -> Shown {
        if let Some((_, value, _)) = self.fixed(name) {
            return value.clone();
        }
        let labels = self.said.labels();
        match name {
            TASK => text(&labels.task.unwrap_or_default()),
            NOTES => text(&labels.notes.unwrap_or_default()),
            SUCCESS => labels.success.map_or_else(Shown::default, truth),
            _ => Shown::default(),
        }
    }

    fn fixed(&self, name: &str) -> Option<&(&'static str, Shown, &'static str)> {
        self.fixed.iter().find(|(fixed, ..)| *fixed == name)
    }

    fn describe(&self, name: &str) -> ParameterDescriptor {
        let fixed = self.fixed(name);
        let settable = SETTABLE.iter().find(|(settable, _)| *settable == name);
        let description = fixed.map(|(.., text)| *text).or(settable.map(|(_, text)| *text));
        ParameterDescriptor {
            name: name.to_owned(),
            type_: self.value(name).type_,
            description: description.unwrap_or_default().to_owned(),
            read_only: fixed.is_some(),
            // Not set if nobody can say.
            dynamic_typing: name == SUCCESS,
            ..ParameterDescriptor::default()
        }
    }

    /// The names that are one of these, or all. None of ours has a dot, so none lies below another.
    fn names_below(&self, prefixes: &[String]) -> Vec<String> {
        let fixed = self.fixed.iter().map(|(name, ..)| *name);
        let names = fixed.chain(SETTABLE.iter().map(|(name, _)| *name));
        let is_wanted = |name: &&str| prefixes.is_empty() || prefixes.iter().any(|p| p == name);
        names.filter(is_wanted).map(str::to_owned).collect()
    }

    /// Sets all of these or, if one can't be, none. They are shown at once. Once the recorder has
    /// noted them, what is noted is shown.
    fn set(&self, parameters: &[Parameter]) -> Result<(), String> {
        let change = parameters.iter().try_fold(LabelChange::new(), |all, parameter| {
            Ok::<_, String>(self.change(&parameter.name, &given(&parameter.value))?.or(all))
        })?;
        if self.said.is_full() {
            return Err("too many changes wait to be noted; try again later".to_owned());
        }
        self.said.change(&change);
        match self.requests.ask(Request::Label(change)) {
            true => Ok(()),
            false => Err("the recording is over".to_owned()),
        }
    }

    fn change(&self, name: &str, value: &ParameterValue) -> Result<LabelChange, String> {
        match name {
            TASK | SUCCESS | NOTES => {
                said_by(name, value).map_err(|reason| format!("{name}: {reason}"))
            }
            _ if self.fixed(name).is_some() => Err(format!(
                "{name}: it is fixed while the node records; start the node anew to change it"
            )),
            _ => Err(format!("{name}: this node has no such parameter")),
        }
    }
}

/// A value that a client gives.
fn given(value: &Shown) -> ParameterValue {
    const BOOL: u8 = Type::PARAMETER_BOOL as u8;
    const INTEGER: u8 = Type::PARAMETER_INTEGER as u8;
    const DOUBLE: u8 = Type::PARAMETER_DOUBLE as u8;
    const STRING: u8 = Type::PARAMETER_STRING as u8;
    const BYTE_ARRAY: u8 = Type::PARAMETER_BYTE_ARRAY as u8;
    const BOOL_ARRAY: u8 = Type::PARAMETER_BOOL_ARRAY as u8;
    const INTEGER_ARRAY: u8 = Type::PARAMETER_INTEGER_ARRAY as u8;
    const DOUBLE_ARRAY: u8 = Type::PARAMETER_DOUBLE_ARRAY as u8;
    const STRING_ARRAY: u8 = Type::PARAMETER_STRING_ARRAY as u8;
    match value.type_ {
        BOOL => ParameterValue::Bool(value.bool_value),
        INTEGER => ParameterValue::Integer(value.integer_value),
        DOUBLE => ParameterValue::Double(value.double_value),
        STRING => ParameterValue::String(value.string_value.clone()),
        BYTE_ARRAY => ParameterValue::ByteArray(value.byte_array_value.clone()),
        BOOL_ARRAY => ParameterValue::BoolArray(value.bool_array_value.clone()),
        INTEGER_ARRAY => ParameterValue::IntegerArray(value.integer_array_value.clone()),
        DOUBLE_ARRAY => ParameterValue::DoubleArray(value.double_array_value.clone()),
        STRING_ARRAY => ParameterValue::StringArray(value.string_array_value.clone()),
        _ => ParameterValue::NotSet,
    }
}
