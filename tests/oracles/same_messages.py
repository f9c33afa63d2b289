"""Compares the messages of two MCAP files as mcap-ros2-support reads them, topic by topic and in the order of the topic.

usage: same_messages.py LOG_TIME_TOLERANCE_NS EXPECTED FOUND

Prints a line for each topic: its name, its type, its messages, its QoS.
"""

import math
import sys

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory


def plain(value):
    if hasattr(value, "__slots__"):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, (bytes, bytearray, str, bool)):
        return value
    if hasattr(value, "__iter__"):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return value


def topics(path):
    found = {}
    with open(path, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_summary().statistics.message_count > 0
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert schema.encoding == "ros2msg" and channel.message_encoding == "cdr"
            topic = found.setdefault(channel.topic, (schema.name, channel.metadata, []))
            topic[2].append((message.log_time, plain(decoded)))
    return found


tolerance = int(sys.argv[1])
expected, found = topics(sys.argv[2]), topics(sys.argv[3])
assert expected.keys() == found.keys(), (expected.keys(), found.keys())
for name, (schema, _, messages) in sorted(expected.items()):
    found_schema, metadata, found_messages = found[name]
    assert schema == found_schema, (schema, found_schema)
    assert len(messages) == len(found_messages), (name, len(messages), len(found_messages))
    for (log_time, message), (found_log_time, found_message) in zip(messages, found_messages):
        assert abs(log_time - found_log_time) <= tolerance, (name, log_time, found_log_time)
        assert message == found_message, (name, log_time, message, found_message)
    qos = metadata.get("offered_qos_profiles", "").replace("\n", " ")
    print(f"{name}\t{schema}\t{len(messages)}\t{qos}")
