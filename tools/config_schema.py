"""The schema of the settings file, made from the constructors themselves, for `tools.generate`; loads torch."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from driftwatch import plugins
from driftwatch.config import shape
from driftwatch.config.schema import FILE, SECRETS, Schema

INTERNAL = ("restored",)  # what only transformers passes to the callback
_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_NAMED = {
    "probes": "A way of asking: its name, or its name with options.",
    "judges": "Who reads replies: as on the command line, or a name with options.",
    "exporters": "An output channel: its name, or its name with options.",
    "actions": "What to do about a specific alert: its name, or its name with options.",
}
# What docstrings say to those who write Python, for those who write YAML.
_WORDS = {
    "`None`": "`null`",
    "Topic pack, or its name or path": "Name, file or folder of a topic pack",
    "Name, path, or a loaded model": "Name or folder",
    "Names or objects": "Names, each with options where it needs them",
    "Object or name": "Name, or name with options",
    "Name or object": "Name, or name with options",
    "None by default": "Nothing by default",
}
_NUMBERS = {"integer": "integer", "integer range": "integer", "float": "number", "float range": "number"}


def made_schema() -> Schema:
    """The schema of this code."""
    return _Maker().schema()


def schema_text() -> str:
    """The schema of this code as it is shipped."""
    return json.dumps(made_schema(), indent=1, ensure_ascii=False) + "\n"


class _Maker:
    """Turns constructors into a schema; dataclasses that appear inside become definitions."""

    def __init__(self) -> None:
        self._definitions: Schema = {}

    def schema(self) -> Schema:
        from driftwatch.callback import DriftCallback
        from driftwatch.watch.schedule import Schedule

        found = self._object(DriftCallback)
        for name in INTERNAL:
            del found["properties"][name]
        # None stands for Schedule() there; here its keys are simply there.
        found["properties"]["schedule"] = {
            "$ref": f"#/definitions/{self._defined(Schedule)}",
            "description": found["properties"]["schedule"]["description"],
        }
        found["properties"]["service"] = self._service()
        named = {kind: self._named(kind) for kind in _NAMED}  # type: ignore[arg-type] # its keys are kinds
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": FILE,
            "title": "driftwatch settings",
            "description": "Settings of DriftCallback, `driftwatch run` and `driftwatch serve`, in one file.",
            **found,
            "definitions": {**self._definitions, **named},
        }

    def _object(self, made: Callable[..., Any]) -> Schema:
        """Every parameter that a file can hold."""
        properties = {}
        for parameter in shape.parameters(made):
            schema = self._of(parameter.annotation, parameter.default)
            if schema is None:
                continue
            if parameter.text:
                schema["description"] = _in_yaml(parameter.text)
            if _is_plain(parameter.default):
                schema["default"] = _as_json(parameter.default)
            properties[parameter.name] = schema
        required = [p.name for p in shape.parameters(made) if p.default is shape.REQUIRED and p.name in properties]
        found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
        return {**found, "required": required} if required else found

    def _of(self, annotation: Any, default: Any = shape.REQUIRED) -> Schema | None:
        """A type as a schema; `None` where a file cannot hold one."""
        if annotation is Any:  # a name or an object: the default tells whether a name will do
            return {"type": "string"} if isinstance(default, str) else None
        if kind := shape.kind_of(annotation):
            return {"$ref": f"#/definitions/{kind}"}
        members = shape.members(annotation)
        if words := next((get_args(member) for member in members if shape.is_literal(member)), ()):
            return {"enum": [*words, *([None] if type(None) in members else [])]}
        plain = list(dict.fromkeys(_PLAIN[member] for member in members if member in _PLAIN))
        found: list[Schema] = []
        if not shape.is_path(annotation):  # what can be a file is given as one
            found = [schema for member in members if (schema := self._structured(member)) is not None]
        if not found and plain in ([], ["null"]):
            return None
        if plain:
            schema = {"type": plain[0] if len(plain) == 1 else plain}
            found.append({**schema, "format": "path"} if shape.is_path(annotation) else schema)
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _structured(self, member: Any) -> Schema | None:
        if shape.is_sequence(member):
            return self._list(get_args(member))
        if shape.is_mapping(member):
            inner = self._of(get_args(member)[1])
            return None if inner is None else {"type": "object", "additionalProperties": inner}
        section = shape.section_of(member)
        return None if section is None else {"$ref": f"#/definitions/{self._defined(section)}"}

    def _list(self, inner: tuple[Any, ...]) -> Schema | None:
        schema = self._of(inner[0]) if inner else None
        if schema is None:
            return None
        found: Schema = {"type": "array", "items": schema}
        if len(inner) > 1 and inner[-1] is not Ellipsis:
            found |= {"minItems": len(inner), "maxItems": len(inner)}
        return found

    def _defined(self, section: type) -> str:
        name = section.__name__.lower()
        if name not in self._definitions:
            self._definitions[name] = self._object(section)
        return name

    def _named(self, kind: plugins.Kind) -> Schema:
        """Something made by name; options of what we bring are spelled out, those of other packages are free."""
        loaded = {name: plugins.load(kind, name) for name in plugins.names(kind)}
        ours = {name: self._object(made) for name, made in loaded.items() if _is_ours(made) and not self._needs(made)}
        for owner, option in SECRETS:
            if owner in ours:
                ours[owner]["properties"].pop(option, None)
        return {
            "description": _NAMED[kind],
            "x-kind": kind,
            "anyOf": [
                {"type": "string", "examples": list(ours)},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": ours,
                    "additionalProperties": True,
                },
            ],
        }

    def _needs(self, made: Callable[..., Any]) -> bool:
        """Whether it cannot be made without an object that no file can hold."""
        return any(p.default is shape.REQUIRED and self._of(p.annotation) is None for p in shape.parameters(made))

    def _service(self) -> Schema:
        """The options of `driftwatch serve`, from the command itself."""
        from driftwatch.cli.serve import command

        properties: Schema = {}
        for option in command.params:
            if option.name is None or option.name == "config":
                continue
            schema: Schema = {"type": _NUMBERS.get(option.type.name, "string")}
            if isinstance(option.type, click.Path):
                schema["format"] = "path"
            if option.multiple:
                schema = {"type": "array", "items": schema}
            schema["description"] = getattr(option, "help", None) or "Folder of runs."
            if option.default is not None and _is_plain(option.default):  # None: no default, before click 8.3
                schema["default"] = _as_json(option.default)
            properties[option.name] = schema
        return {
            "type": "object",
            "additionalProperties": False,
            "description": "For `driftwatch serve --config FILE`, whose own options override these.",
            "properties": properties,
        }


def _is_ours(made: Any) -> bool:
    made = made.func if isinstance(made, functools.partial) else made
    return str(made.__module__).split(".")[0] == "driftwatch"


def _in_yaml(text: str) -> str:
    for python, yaml in _WORDS.items():
        text = text.replace(python, yaml)
    return text


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _as_json(value: Any) -> Any:
    return [_as_json(entry) for entry in value] if isinstance(value, (tuple, list)) else value
