"""What an editor says of YAML texts by a JSON Schema: reads {"schema": …, "texts": […]} as JSON on stdin, prints for each text what
is wrong with it, or null."""

import json
import sys

import jsonschema_rs
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

asked = json.load(sys.stdin)
validator = jsonschema_rs.Draft7Validator(asked["schema"])


def plain(value):
    """As JSON has it: yaml gives subclasses of dict and list."""
    if isinstance(value, dict):
        return {str(key): plain(value) for key, value in value.items()}
    if isinstance(value, list):
        return [plain(value) for value in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    # A day or a time of YAML 1.1, which 1.2 and editors take for a text.
    return str(value)


def wrong(text):
    try:
        value = plain(YAML(typ="safe", pure=True).load(text))
    except YAMLError as error:
        return f"not YAML: {error}"
    error = next(iter(validator.iter_errors(value)), None)
    return error and f"{'.'.join(map(str, error.instance_path))}: {error.message}"


json.dump([wrong(text) for text in asked["texts"]], sys.stdout)
