"""The schema of the settings file, made from annotations: those of `RunSettings`, and of what is made by name."""

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
_ABOUT = ("title", "description", "examples")  # of a setting, whatever it may be; the rest bounds one of its types
_NUMBERS = {"integer": "integer", "integer range": "integer", "float": "number", "float range": "number"}


def made_schema() -> Schema:
    """The schema of this code."""
    return _Maker().schema()


def schema_text() -> str:
    """The schema of this code as it is shipped."""
    return json.dumps(made_schema(), indent=1, ensure_ascii=False) + "\n"


class _Maker:
    """Turns annotations into a schema; dataclasses that appear inside become definitions."""

    def __init__(self) -> None:
        self._definitions: Schema = {}

    def schema(self) -> Schema:
        found = self._object(RunSettings)
        # None stands for Schedule() there; here its keys are simply there.
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
        """Every parameter that a file can hold."""
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
        """A type as a schema; `None` where a file cannot hold one."""
        if annotation is Any:  # a name or an object: the default tells whether a name will do
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
                found.append(schema)  # what can be a file is given as one
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
        """The type of an entry, with what is said of it."""
        inner, said = bare(annotation)
        schema = self._of(inner, said)
        return None if schema is None else {**schema, **{word: said[word] for word in _ABOUT if word in said}}

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
        return any(p.default is REQUIRED and self._of(p.annotation, p.said) is None for p in parameters(made))

    def _service(self) -> Schema:
        """The options of `driftwatch serve`, from the command itself."""
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


def _in_yaml(said: Any) -> Any:
    """What is said to those who write Python, for those who write YAML."""
    return said.replace("`None`", "`null`") if isinstance(said, str) else said


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _as_json(value: Any) -> Any:
    return [_as_json(entry) for entry in value] if isinstance(value, (tuple, list)) else value
