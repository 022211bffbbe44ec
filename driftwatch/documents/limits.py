"""Bounds of a setting, as JSON Schema writes them: whether a value keeps to them, and how a sentence names them.

A settings file and a constructor say the same about the same value: `expected a probability over 0 and under 1 as
"alpha", found the number 1. Write for example 0.01.`
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


def keeps_to(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a number lies within the bounds, or a text has the form; infinity and NaN never pass.

    >>> [keeps_to(value, {"minimum": 0, "exclusiveMaximum": 1}) for value in (0, 0.5, 1, float("nan"))]
    [True, True, False, False]
    """
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        pattern = schema.get("pattern", "")
        found = re.search(pattern, value)
        return found is not None and (not pattern.endswith("$") or found.end() == len(value))  # "$" allows a new line
    return (
        math.isfinite(value)
        and value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
    )


def bounded(schema: Mapping[str, Any], kind: str) -> str:
    """What a number or text has to be, for example "a probability over 0 and under 1".

    Args:
        schema: Its bounds; its title says what it is.
        kind: "integer", "number" or "string"; says what it is if there is no title.

    >>> bounded({"minimum": 0, "maximum": 65535, "title": "a port"}, "integer")
    'a port from 0 to 65535'
    >>> bounded({"minimum": 1}, "integer")
    'a whole number of at least 1'
    """
    what: str = schema.get("title", WORDS[kind])
    if kind == "string":
        return what
    if "minimum" in schema and "maximum" in schema:
        return f"{what} from {schema['minimum']} to {schema['maximum']}"
    words = {"minimum": "of at least", "exclusiveMinimum": "over", "maximum": "at most", "exclusiveMaximum": "under"}
    limits = [f"{word} {schema[name]}" for name, word in words.items() if name in schema]
    return f"{what} {' and '.join(limits)}" if limits else f"{what} that is finite"


def sized(number: int, schema: Mapping[str, Any]) -> str | None:
    """How many entries a list must have, if `number` is not allowed; `None` if it is.

    >>> sized(1, {"minItems": 2, "maxItems": 2})
    '2 entries'
    >>> sized(0, {"minItems": 1})
    'at least one entry'
    """
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if least <= number <= most:
        return None
    if least == most:
        return f"{least} entries"
    if number < least:
        return "at least one entry" if least == 1 else f"at least {least} entries"
    return f"at most {most} entries"


def advice(schema: Mapping[str, Any], null: str = "") -> str:
    """What to write instead.

    Args:
        schema: The advice names its first example, or else its default.
        null: How to write that nothing is given; empty if that is not allowed.
    """
    example = next(iter(schema.get("examples", ())), schema.get("default"))
    do = "Write another" if example is None else f"Write for example {json.dumps(example, ensure_ascii=False)}"
    return f"{do}, or {null} for none." if null else f"{do}."
