//! Messages of a `split_on` topic in, changes of parts out. Compiled once for a message type.

use std::sync::Arc;

use super::{ActionPattern, FieldText, PartChange, SplitOn, named_action};
use crate::mapping::definitions::type_fault;
use crate::yaml::Spot;
use mldash_message::{
    Decoder, Definitions, Element, FieldSelection, Layout, LayoutFault, LayoutPart, MessageType,
    SelectedField, StampSource, TypeName,
};
use mldash_track::{ColumnType, LabelChange, Value};

/// Decides which messages of one topic change the part that is recorded.
#[derive(Debug)]
pub struct Trigger {
    decoder: Decoder,
    condition: Option<Test>,
    action: ActionPattern,
    task: Option<FieldText>,
    success: Option<bool>,
    elements: Vec<Element>,
    /// Why the last message that could not act could not.
    told: Option<String>,
}

#[derive(Debug)]
struct Test {
    wanted: Wanted,
    is_edge: bool,
    /// Whether the message before had the value.
    was_met: bool,
}

/// A value to compare a field with.
#[derive(Debug, PartialEq)]
enum Wanted {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
}

/// An entry of `split_on` that does not fit its message type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TriggerFault {
    /// Where it stands in the mapping.
    pub spot: Spot,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl TriggerFault {
    /// All of them in one text.
    pub fn listed(faults: &[Self]) -> String {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl Trigger {
    /// Compiles an entry for messages of this type.
    ///
    /// # Errors
    /// Fails with everything that does not fit.
    pub fn new(message: &Arc<MessageType>, rule: &SplitOn) -> Result<Self, Vec<TriggerFault>> {
        if let Some(expected) = &rule.message_type
            && expected.value != *message.name()
        {
            let message =
                format!("it is published as {}, not as {}", message.name(), expected.value);
            return Err(vec![TriggerFault { spot: expected.spot.clone(), message, hint: None }]);
        }
        let field = rule.condition.iter().map(|condition| SelectedField {
            column: condition.field.value.to_string(),
            path: condition.field.value.clone(),
        });
        let layout = Layout {
            stamp: StampSource::None,
            fields: FieldSelection::Only(field.collect()),
            names: rule.texts().flat_map(|(text, _)| text.fields()).cloned().collect(),
            ..Layout::default()
        };
        let decoder = Decoder::compile(message, &layout);
        let decoder = decoder.map_err(|faults| rule.layout_faults(&faults))?;
        let condition = rule.condition.as_ref().map(|condition| {
            let wanted = match decoder.column_types() {
                [ty] => Wanted::of(ty, &condition.value.value),
                _ => Err(("is a message", "name one of its fields")),
            };
            let (is_edge, was_met) = (condition.is_edge, false);
            wanted.map(|wanted| Test { wanted, is_edge, was_met }).map_err(|(problem, hint)| {
                let message =
                    format!("`{}` of {} {problem}", condition.field.value, message.name());
                vec![TriggerFault {
                    spot: condition.value.spot.clone(),
                    message,
                    hint: Some(hint.to_owned()),
                }]
            })
        });
        Ok(Self {
            decoder,
            condition: condition.transpose()?,
            action: rule.action.value.clone(),
            task: rule.task.as_ref().map(|task| task.value.clone()),
            success: rule.success,
            elements: Vec::new(),
            told: None,
        })
    }

    /// The change that a message asks for: CDR with its encapsulation header.
    ///
    /// # Errors
    /// Says why a message that may have been meant to act can't: once for several in a row.
    pub fn hear(&mut self, cdr: &[u8]) -> Result<Option<PartChange>, String> {
        let mut elements = std::mem::take(&mut self.elements);
        let decoded = self.decoder.decode(cdr, &mut elements).map_err(|error| error.to_string());
        let change = decoded.and_then(|()| match elements.first() {
            Some(element) => self.change(element),
            None => Ok(None),
        });
        self.elements = elements;
        change.or_else(|reason| match self.told.replace(reason.clone()) {
            Some(before) if before == reason => Ok(None),
            _ => Err(reason),
        })
    }

    fn change(&mut self, element: &Element) -> Result<Option<PartChange>, String> {
        if let Some(test) = &mut self.condition {
            let is_met = element.fields.iter().next().is_some_and(|(_, v)| test.wanted.is(v));
            let was_met = std::mem::replace(&mut test.was_met, is_met);
            if !is_met || (test.is_edge && was_met) {
                return Ok(None);
            }
        }
        let mut values = element.names.as_slice();
        let mut said = |text: &FieldText| {
            let (own, rest) = values.split_at_checked(text.fields().len()).unwrap_or_default();
            values = rest;
            text.expand(own).ok_or_else(|| format!("it has no value for `{text}`"))
        };
        let action = match &self.action {
            ActionPattern::Always(action) => *action,
            ActionPattern::Said(text) => {
                let word = said(text)?;
                named_action(&word).ok_or_else(|| {
                    format!("`{}` is not split, discard, stop or start", word.escape_debug())
                })?
            }
        };
        let mut change = PartChange::new(action);
        if let Some(text) = &self.task {
            let task = said(text)?;
            change.begun = LabelChange::new().task(&task).map_err(|error| error.to_string())?;
        }
        if let Some(success) = self.success {
            change.ended = change.ended.success(Some(success));
        }
        Ok(Some(change))
    }
}

impl Wanted {
    /// The value that a text means for a field of this type.
    fn of(ty: &ColumnType, text: &str) -> Result<Self, (&'static str, &'static str)> {
        match ty {
            ColumnType::Bool => match text {
                "true" | "True" | "TRUE" => Ok(Self::Bool(true)),
                "false" | "False" | "FALSE" => Ok(Self::Bool(false)),
                _ => Err(("is a bool", "write true or false")),
            },
            ColumnType::Int | ColumnType::UInt => {
                text.parse().map(Self::Int).map_err(|_| ("is an integer", "write one, such as 1"))
            }
            ColumnType::Float => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Float(number)),
                _ => Err(("is a number", "write one, such as -1.0")),
            },
            ColumnType::Text => Ok(Self::Text(text.to_owned())),
            ColumnType::List(_) => Err(("is an array", "write which element: `buttons[3]`")),
            ColumnType::Null | ColumnType::Dict(_) | ColumnType::Json => {
                Err(("can't be compared", "name a bool, a number or a text"))
            }
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(wanted), Value::Bool(is)) => wanted == is,
            (Self::Int(wanted), Value::Int(is)) => *wanted == i128::from(*is),
            (Self::Int(wanted), Value::UInt(is)) => *wanted == i128::from(*is),
            // What is written as 0.1 is a 0.1 of the field's own precision.
            #[expect(clippy::cast_possible_truncation, reason = "rounding is what is meant")]
            (Self::Float(wanted), Value::F32(is)) => *wanted as f32 == *is,
            (Self::Float(wanted), Value::F64(is)) => wanted == is,
            (Self::Text(wanted), Value::Text(is)) => wanted == is,
            _ => false,
        }
    }
}

impl SplitOn {
    /// The texts with fields in them, and where they stand, in the order of their values.
    fn texts(&self) -> impl Iterator<Item = (&FieldText, &Spot)> {
        let action = match &self.action.value {
            ActionPattern::Said(text) => Some((text, &self.action.spot)),
            ActionPattern::Always(_) => None,
        };
        action.into_iter().chain(self.task.as_ref().map(|task| (&task.value, &task.spot)))
    }

    fn layout_faults(&self, faults: &[LayoutFault]) -> Vec<TriggerFault> {
        let spot_of_name = |number: usize| {
            let mut spots =
                self.texts().flat_map(|(text, spot)| text.fields().iter().map(move |_| spot));
            spots.nth(number)
        };
        let fault = |fault: &LayoutFault| {
            let spot = match fault.part {
                LayoutPart::Name(number) => spot_of_name(number),
                LayoutPart::Field(_) | LayoutPart::Each | LayoutPart::Stamp => {
                    self.condition.as_ref().map(|condition| &condition.field.spot)
                }
            };
            let spot = spot.unwrap_or(&self.topic.spot).clone();
            TriggerFault { spot, message: fault.to_string(), hint: fault.hint() }
        };
        faults.iter().map(fault).collect()
    }

    /// Compares the entry with the definition of its messages' type: the one that it names, or
    /// `own`, that of the entry of `topics` for its topic.
    pub(in crate::mapping) fn check(
        &self,
        own: Option<&TypeName>,
        definitions: &Definitions,
    ) -> Vec<TriggerFault> {
        let Some(ty) = self.message_type().or(own) else { return Vec::new() };
        let message = match definitions.resolve(ty) {
            Ok(message) => message,
            // An entry of `topics` with that type is reported already.
            Err(_) if self.message_type.is_none() => return Vec::new(),
            Err(error) => {
                let spot = self.message_type.as_ref().map_or(&self.topic.spot, |ty| &ty.spot);
                let fault = type_fault(ty, &error, definitions);
                let (message, hint) = (fault.message, fault.hint);
                return vec![TriggerFault { spot: spot.clone(), message, hint }];
            }
        };
        Trigger::new(&message, self).err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Mapping, PartAction};

    const JOY: &str = "int32[] buttons\nfloat32[] axes\n";

    fn rule(entry: &str) -> SplitOn {
        let text = format!("topics: [{{topic: /x}}]\nsplit_on: {entry}\n");
        Mapping::parse(&text, "m.yaml").unwrap().split_on()[0].clone()
    }

    fn trigger(entry: &str, definition: &str) -> Result<Trigger, Vec<TriggerFault>> {
        let ty = "a_msgs/msg/A".parse().unwrap();
        Trigger::new(&MessageType::from_bundle(&ty, definition).unwrap(), &rule(entry))
    }

    fn fault(entry: &str, definition: &str) -> String {
        let faults = trigger(entry, definition).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        format!("{}: {faults:?}", faults[0].spot.key_path)
    }

    /// Little-endian CDR.
    fn message(body: &[u8]) -> Vec<u8> {
        [&[0, 1, 0, 0], body].concat()
    }

    fn text(said: &str) -> Vec<u8> {
        let length = (said.len() as u32 + 1).to_le_bytes();
        message(&[&length, said.as_bytes(), b"\0"].concat())
    }

    fn joy(button: i32) -> Vec<u8> {
        let buttons = [2_i32, 0, button, 1].map(i32::to_le_bytes).concat();
        message(&[buttons, 0.1_f32.to_le_bytes().to_vec()].concat())
    }

    #[test]
    fn a_button_acts_when_it_goes_down_and_not_while_it_is_held() {
        let mut trigger =
            trigger("{topic: /joy, field: 'buttons[1]', becomes: 1, do: discard}", JOY).unwrap();
        let mut heard = |button| trigger.hear(&joy(button)).unwrap().map(|change| change.action);
        let acts = [0, 1, 1, 0, 1].map(&mut heard);
        let discard = Some(PartAction::Discard);
        assert_eq!(acts, [None, discard, None, None, discard]);
    }

    #[test]
    fn every_message_with_the_value_acts_if_so_written_and_without_a_field_every_message() {
        let held = |entry: &str| {
            let mut trigger = trigger(entry, JOY).unwrap();
            [0, 1, 1].map(|button| trigger.hear(&joy(button)).unwrap().is_some())
        };
        assert_eq!(held("{topic: /joy, field: 'buttons[1]', equals: 1}"), [false, true, true]);
        assert_eq!(held("{topic: /joy, field: 'axes[0]', equals: 0.1}"), [true, true, true]);
        assert_eq!(held("{topic: /joy}"), [true, true, true]);
        assert_eq!(held("{topic: /joy, field: 'buttons[7]', equals: 1}"), [false; 3]);
    }

    #[test]
    fn a_text_is_the_task_of_the_next_part_or_the_verb() {
        let mut task =
            trigger("{topic: /t, task: 'pick the {data}', success: true}", "string data").unwrap();
        let change = task.hear(&text("cup")).unwrap().unwrap();
        let expected = LabelChange::new().task("pick the cup").unwrap();
        assert_eq!((change.action, change.begun), (PartAction::Split, expected));
        assert_eq!(change.ended, LabelChange::new().success(Some(true)));
        let mut verb = trigger("{topic: /t, do: '{data}'}", "string data").unwrap();
        assert_eq!(verb.hear(&text("stop")).unwrap().unwrap().action, PartAction::Stop);
        let error = verb.hear(&text("halt")).unwrap_err();
        assert_eq!(error, "`halt` is not split, discard, stop or start");
        assert_eq!(verb.hear(&text("halt")), Ok(None), "it is said once");
        assert!(verb.hear(&message(&[9])).is_err());
    }

    #[test]
    fn what_does_not_fit_the_type_is_reported_at_its_place() {
        let missing = fault("{topic: /joy, field: 'button[1]', becomes: 1}", JOY);
        assert!(
            missing.starts_with("split_on.field: ") && missing.contains("buttons"),
            "{missing}"
        );
        let array = fault("{topic: /joy, field: buttons, becomes: 1}", JOY);
        assert!(array.starts_with("split_on.becomes: ") && array.contains("buttons[3]"), "{array}");
        let text = fault("{topic: /joy, field: 'axes[0]', equals: up}", JOY);
        assert!(text.contains("is a number"), "{text}");
        let verb = fault("{topic: /joy, do: '{verb}'}", JOY);
        assert!(verb.starts_with("split_on.do: "), "{verb}");
        let ty = fault("{topic: /joy, type: sensor_msgs/msg/Joy}", JOY);
        assert!(ty.starts_with("split_on.type: ") && ty.contains("a_msgs/msg/A"), "{ty}");
    }
}
