//! A run as an MCAP file of ROS 2 messages, as `ros2 bag record` writes it.

use std::collections::BTreeMap;
use std::io::Write;

use mldash_record::OfferedQos;
use mldash_track::{McapChannel, McapSchema, McapTimes, McapWriter, TrackError};

use super::{Ros2Account, Ros2Topic, RosRun, RosTopic};
use crate::error::ExportError;
use crate::mcap::McapOptions;
use crate::plan::Recording;
use crate::progress::Progress;

/// The key of a channel's metadata under which rosbag2 keeps what publishers offered.
const OFFERED_QOS: &str = "offered_qos_profiles";
/// Latched messages from longer before the run than this are logged when it begins. Their stamps can be hours old, which a
/// player would let pass in silence before all else.
const LATCHED_BEFORE_NANOS: i64 = 1_000_000_000;

/// Writes the messages of `recording` to `out`: CDR with `ros2msg` schemas, one channel a topic, with its QoS. What can't
/// become messages is named in the account. Memory is bounded: one row of each track, and one message, at a time.
///
/// # Errors
/// Fails if the recording can't be read, `out` can't be written, or the export is stopped. What was written then has no
/// end, so that no reader takes it for whole.
pub fn export_ros2(
    recording: &Recording,
    options: &McapOptions,
    out: &mut (dyn Write + Send),
    progress: &Progress,
) -> Result<Ros2Account, ExportError> {
    let run = RosRun::open(recording, options)?;
    let failed = |error| match error {
        TrackError::Export(error) => ExportError::Output(error),
        source => ExportError::Track { experiment: recording.name.clone(), source },
    };
    let mut writer = McapWriter::new(out, "ros2").map_err(failed)?;
    // A topic without messages is no channel.
    let mut channels: Vec<(Option<McapChannel>, u64)> = vec![(None, 0); run.topics().len()];
    let (first, last) = run.span(&options.range).unwrap_or_default();
    progress.expect((last - first).ceil() as u64);
    let begin = run.first_nanos()?.unwrap_or(i64::MIN);
    let latched: Vec<bool> = run.topics().iter().map(|topic| topic.qos().is_latched()).collect();
    let mut messages = run.messages();
    while let Some(message) = messages.next()? {
        progress.check()?;
        progress.reach((message.log_nanos as f64 / 1e9 - first).max(0.0) as u64);
        let is_latched = latched.get(message.topic).copied().unwrap_or_default();
        let is_long_before =
            is_latched && message.log_nanos < begin.saturating_sub(LATCHED_BEFORE_NANOS);
        let log_nanos = if is_long_before { begin } else { message.log_nanos };
        let Ok(log) = u64::try_from(log_nanos) else {
            messages.refuse("it is from before 1970, which MCAP can't count");
            continue;
        };
        let (Some((channel, count)), Some(topic)) =
            (channels.get_mut(message.topic), run.topics().get(message.topic))
        else {
            continue;
        };
        let channel = match channel {
            Some(channel) => *channel,
            None => *channel.insert(add_channel(&mut writer, topic).map_err(failed)?),
        };
        *count += 1;
        let publish = u64::try_from(message.log_nanos).unwrap_or(log);
        let times = McapTimes { log, publish };
        writer.write(channel, times, message.cdr).map_err(failed)?;
    }
    let losses = messages.losses();
    writer.finish().map_err(failed)?;
    let topics = run.topics().iter().zip(&channels).filter(|(_, (_, messages))| *messages > 0);
    let topics = topics.map(|(topic, (_, messages))| Ros2Topic {
        name: topic.name.clone(),
        type_name: topic.type_name.clone(),
        messages: *messages,
    });
    Ok(Ros2Account {
        experiment: recording.name.clone(),
        is_live: run.is_live(),
        topics: topics.collect(),
        left_out: run.left_out().to_vec(),
        losses,
    })
}

fn add_channel<W: Write>(
    writer: &mut McapWriter<W>,
    topic: &RosTopic,
) -> Result<McapChannel, TrackError> {
    let schema = McapSchema {
        name: topic.type_name.as_str().into(),
        encoding: "ros2msg".into(),
        data: topic.definition.as_bytes().into(),
        message_encoding: "cdr".into(),
    };
    let qos = OfferedQos::write(&topic.offered_qos);
    let metadata = BTreeMap::from([(OFFERED_QOS.to_owned(), qos)]);
    writer.add_channel(&topic.name, &schema, &metadata)
}
