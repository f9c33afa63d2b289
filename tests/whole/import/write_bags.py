"""Writes the messages of a bag again, in every way that rosbags can."""

import sys
from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

bag, out = Path(sys.argv[1]), Path(sys.argv[2])
for plugin in StoragePlugin:
    for mode in CompressionMode:
        if (plugin, mode) == (StoragePlugin.SQLITE3, CompressionMode.STORAGE):
            continue
        writer = Writer(out / f"{plugin.name}_{mode.name}".lower(), version=9, storage_plugin=plugin)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with Reader(bag) as reader, writer:
            connections = {}
            for c in reader.connections:
                # Older bags have no hashes of their types; any will do.
                types = {"msgdef": c.msgdef.data, "rihs01": c.digest or "RIHS01_0"}
                connections[c.id] = writer.add_connection(c.topic, c.msgtype, **types)
            for connection, timestamp, data in reader.messages():
                writer.write(connections[connection.id], timestamp, data)
