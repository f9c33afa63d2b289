"""Opens pictures with Pillow, arrays with numpy, clouds with pypcd4, and tells what is in them.

open_files.py FILE…

One JSON line for each: type and shape of its numbers, and these, little-endian, as base64.
"""

import base64
import json
import sys

import numpy
from PIL import Image
from pypcd4 import PointCloud


def opened(path):
    if path.endswith(".npy"):
        return {}, numpy.load(path)
    if path.endswith(".pcd"):
        cloud = PointCloud.from_path(path)
        return {"width": cloud.metadata.width, "height": cloud.metadata.height}, cloud.pc_data
    with Image.open(path) as picture:
        picture.load()
        return {"format": picture.format, "mode": picture.mode}, numpy.asarray(picture)


for path in sys.argv[1:]:
    facts, array = opened(path)
    array = numpy.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"))
    facts.update(dtype=array.dtype.descr if array.dtype.names else array.dtype.str, shape=array.shape)
    print(json.dumps({**facts, "data": base64.b64encode(array.tobytes()).decode()}))
