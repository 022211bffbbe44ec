"""Makes the schema of the settings file from annotations: those of `RunSettings` and of objects made by name."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from driftwatch import plugins
from driftwatch.config.schema import FILE, SECRETS
from driftwatch.documents.annotations import (
    REQUIRED,
    Schema,
    bare,
    is_mapping,
    is_path,
    is_sequence,
    kind_of,
    members,
    parameters,
    section_of,
    words_of,
)
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.settings import RunSettings

_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_NAMED = {
    "probes": "A way of asking: its name, or its name with options.",
    "judges": "Who reads replies: as on the command line, or a name with options.",
    "exporters": "An output channel: its name, or its name with options.",
    "actions": "What to do about a specific alert: its name, or its name with options.",
}
_ABOUT = ("title", "description", "examples")  # words about a whole setting; all others bound one of its types
_NUMBERS = {"integer": "integer", "integer range": "integer", "float": "number", "float range": "number"}


def made_schema() -> Schema:
    """The schema made from the annotations in the code."""
    return _Maker().schema()


def schema_text() -> str:
    """The text of that schema, as it is shipped."""
    return json.dumps(made_schema(), indent=1, ensure_ascii=False) + "\n"


class _Maker:
    """Turns annotations into a schema; dataclasses inside them become definitions."""

    def __init__(self) -> None:
        self._definitions: Schema = {}

    def schema(self) -> Schema:
        found = self._object(RunSettings)
        # In the code, None stands for Schedule(); in a file, the section's keys can simply be left out.
        schedule = found["properties"]["schedule"]
        about = {word: schedule[word] for word in _ABOUT if word in schedule}
        found["properties"]["schedule"] = {"$ref": f"#/definitions/{self._defined(Schedule)}", **about}
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
        """The schema of an object, with every parameter that a file can hold."""
        properties = {}
        for parameter in parameters(made):
            schema = self._of(parameter.annotation, parameter.said, parameter.default)
            if schema is None:
                continue
            about = {word: _in_yaml(parameter.said[word]) for word in _ABOUT if word in parameter.said}
            default = {"default": _as_json(parameter.default)} if _is_plain(parameter.default) else {}
            properties[parameter.name] = {**schema, **about, **default}
        required = [p.name for p in parameters(made) if p.default is REQUIRED and p.name in properties]
        found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
        return {**found, "required": required} if required else found

    def _of(self, annotation: Any, said: Schema, default: Any = REQUIRED) -> Schema | None:
        """The schema of a type; `None` where a file cannot hold one."""
        if annotation is Any:  # a name or an object; the default tells whether a name is enough
            return {"type": "string"} if isinstance(default, str) else None
        if kind := kind_of(annotation):
            return {"$ref": f"#/definitions/{kind}"}
        options = [bare(member) for member in members(annotation)]
        is_nullable = any(option is type(None) for option, _ in options)
        if words := words_of(annotation):
            return {"enum": [*words, *([None] if is_nullable else [])]}
        bounds = {word: value for word, value in said.items() if word not in _ABOUT}
        plain: list[str] = []
        found: list[Schema] = []
        for option, inner in options:
            if option in _PLAIN:
                plain.append(_PLAIN[option])
                bounds |= {word: value for word, value in inner.items() if word != "description"}
            elif not is_path(annotation) and (schema := self._structured(option, said)) is not None:
                found.append(schema)  # a parameter that can be a path is given as one
        plain = list(dict.fromkeys(plain))
        if not found and plain in ([], ["null"]):
            return None
        if plain:
            schema = {"type": plain[0] if len(plain) == 1 else plain, **({} if plain == ["null"] else bounds)}
            found.append({**schema, "format": "path"} if is_path(annotation) else schema)
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _structured(self, member: Any, said: Schema) -> Schema | None:
        if is_sequence(member):
            sizes = {word: said[word] for word in ("minItems", "maxItems") if word in said}
            return self._list(get_args(member), sizes)
        if is_mapping(member):
            inner = self._inner(get_args(member)[1])
            return None if inner is None else {"type": "object", "additionalProperties": inner}
        section = section_of(member)
        return None if section is None else {"$ref": f"#/definitions/{self._defined(section)}"}

    def _list(self, inner: tuple[Any, ...], sizes: Schema) -> Schema | None:
        schema = self._inner(inner[0]) if inner else None
        if schema is None:
            return None
        if len(inner) > 1 and inner[-1] is not Ellipsis:
            sizes = {"minItems": len(inner), "maxItems": len(inner)}
        return {"type": "array", "items": schema, **sizes}

    def _inner(self, annotation: Any) -> Schema | None:
        """The schema of an entry's type, with its description."""
        inner, said = bare(annotation)
        schema = self._of(inner, said)
        return None if schema is None else {**schema, **{word: said[word] for word in _ABOUT if word in said}}

    def _defined(self, section: type) -> str:
        name = section.__name__.lower()
        if name not in self._definitions:
            self._definitions[name] = self._object(section)
        return name

    def _named(self, kind: plugins.Kind) -> Schema:
        """The schema of an object made by name; our own objects list their options, those of others take any."""
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
        """Whether an object cannot be made without another object that no file can hold."""
        return any(p.default is REQUIRED and self._of(p.annotation, p.said) is None for p in parameters(made))

    def _service(self) -> Schema:
        """The schema of the options of `driftwatch serve`, from the command itself."""
        from driftwatch.cli.serve import command

        properties: Schema = {}
        for option in command.params:
            if option.name is None or option.name == "config":
                continue
            schema: Schema = {"type": _NUMBERS.get(option.type.name, "string")}
            if isinstance(option.type, (click.IntRange, click.FloatRange)):
                limits = {"minimum": option.type.min, "maximum": option.type.max}
                schema |= {word: limit for word, limit in limits.items() if limit is not None}
            if isinstance(option.type, click.Path):
                schema["format"] = "path"
            if option.multiple:
                schema = {"type": "array", "items": schema}
            schema["description"] = getattr(option, "help", None) or "Folder of runs."
            if option.default is not None and _is_plain(option.default):  # before click 8.3, None means no default
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


def _in_yaml(said: Any) -> Any:
    """A description written for Python, reworded for YAML."""
    return said.replace("`None`", "`null`") if isinstance(said, str) else said


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _as_json(value: Any) -> Any:
    return [_as_json(entry) for entry in value] if isinstance(value, (tuple, list)) else value
