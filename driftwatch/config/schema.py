"""The JSON Schema of the settings file, as it is shipped; `tools.config_schema` makes it from the annotations.

Editors complete and check by it, and `reading.py` reads by it without loading torch.
"""

import functools
import json
from importlib import resources

from driftwatch.documents.annotations import Schema

FILE = "config.schema.json"

# What belongs into no file, by its owner and option, and the variable that holds it instead.
SECRETS = {("service", "token"): "DRIFTWATCH_TOKEN", ("webhook", "url"): "DRIFTWATCH_WEBHOOK"}


@functools.cache
def shipped() -> Schema:
    """The schema that this release reads by; not to be changed."""
    text = resources.files("driftwatch.config").joinpath(FILE).read_text(encoding="utf-8")
    found: Schema = json.loads(text)
    return found


def resolved(schema: Schema, root: Schema | None = None) -> Schema:
    """A part of a schema, the shipped one by default, with its reference followed; what stands beside it is kept."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    found = (root or shipped())["definitions"][name]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
