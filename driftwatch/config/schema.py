"""The shipped JSON Schema of the settings file, which `tools.config_schema` makes from the annotations.

Editors use it to complete and check a file, and `reading.py` reads by it without loading torch.
"""

import functools
import json
from importlib import resources

from driftwatch.documents.annotations import Schema

FILE = "config.schema.json"

# Secrets, which belong in no file: the variable that holds each one, by the object and the option that it is for.
SECRETS = {("service", "token"): "DRIFTWATCH_TOKEN", ("webhook", "url"): "DRIFTWATCH_WEBHOOK"}


@functools.cache
def shipped() -> Schema:
    """The schema by which this release reads; callers must not change it."""
    text = resources.files("driftwatch.config").joinpath(FILE).read_text(encoding="utf-8")
    found: Schema = json.loads(text)
    return found


def resolved(schema: Schema, root: Schema | None = None) -> Schema:
    """A part of a schema, by default the shipped one, with its reference followed; keys beside it are kept."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    found = (root or shipped())["definitions"][name]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
