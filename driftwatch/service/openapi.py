"""The API's description, made from the types that the endpoints encode, so that the two cannot differ."""

import inspect
from functools import lru_cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftwatch import __version__
from driftwatch.record.record import Record
from driftwatch.report.movers import Movers
from driftwatch.service.api import MAX_RECORDS, Json, Problem, RecordPage, RunDetail, RunList
from driftwatch.service.discovery import TargetGroup
from driftwatch.service.follow import Curves
from driftwatch.service.push import Accepted, Push
from driftwatch.store.run_store import Baseline, Event, LookStances
from driftwatch.topics.topic import TopicPack

_RUN = {
    "name": "run",
    "in": "path",
    "required": True,
    "description": "The run's name, as /api/v1/runs lists it.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
}
_EVENTS = (
    'Server-sent events: "run" with the run\'s row of /api/v1/runs whenever anything about it changed, "gone" with its '
    "name when its folder disappeared. Ask again for what you show; nothing is lost when events are."
)


async def document(request: Request) -> Response:
    """The description as JSON."""
    return Json(describe())


@lru_cache(maxsize=1)
def describe() -> dict[str, Any]:
    """The whole description, as OpenAPI 3.1."""
    pushed = {"records": Record, "events": Event, "stances": LookStances, "baselines": Baseline, "packs": TopicPack}
    kinds = (RunList, RunDetail, Curves, Movers, RecordPage, TargetGroup, Push, Accepted, Problem, *pushed.values())
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    ref: dict[Any, dict[str, Any]] = dict(zip(kinds, schemas, strict=True))
    parts = components["Push"]["properties"]  # decoded line by line, so that a bad line is refused alone
    parts["info"] = {"anyOf": [{"$ref": "#/components/schemas/RunInfo"}, {"type": "null"}]}
    for part, kind in pushed.items():
        parts[part]["items"] = ref[kind]
    for schema in components.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    listed = {"type": "array", "items": ref[TargetGroup]}
    limit = _query("limit", f"How many, at most {MAX_RECORDS}.", 50)
    paths = {
        "/api/v1/runs": {"get": _read("All runs, running ones first.", ref[RunList])},
        "/api/v1/runs/{run}": {"get": _read("One run, its verdict and its last observation.", ref[RunDetail], _RUN)},
        "/api/v1/runs/{run}/series": {
            "get": _read(
                "Every figure over all observations, as columns.", ref[Curves], _RUN, _query("since", "Position.", 0)
            )
        },
        "/api/v1/runs/{run}/movers": {
            "get": _read("The items that moved most.", ref[Movers], _RUN, _query("limit", "How many, at most 100.", 12))
        },
        "/api/v1/runs/{run}/records": {
            "get": _read("Whole records, oldest first.", ref[RecordPage], _RUN, _query("since", "Position.", 0), limit),
            "post": _push(ref),
        },
        "/api/v1/events": {"get": _stream(f"Changes of all runs. {_EVENTS}")},
        "/api/v1/runs/{run}/events": {"get": _stream(f"Changes of one run. {_EVENTS}", _RUN)},
        "/api/v1/sd": {"get": _read("Running trainers, for http_sd_configs of Prometheus.", listed)},
        "/metrics": {"get": _text("Every current figure in Prometheus' text format; long-ended runs age out.")},
        "/healthz": {"get": _text("200 while the process answers.")},
        "/readyz": {"get": _text("200 once the folder has been read, else 503 with the reason.")},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "driftwatch",
            "version": __version__,
            "summary": "Which SFT-established values move during post-training.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name; the password is the token.",
                },
            },
        },
    }


def _query(name: str, text: str, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 0, "default": default}
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _read(summary: str, schema: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": _json("The answer.", schema), "default": _problem("Why not.")},
    }


def _push(ref: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    return {
        "summary": "Push what a trainer has recorded. Safe to repeat: lines that are known change nothing.",
        "parameters": [_RUN],
        "security": [{"bearer": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref[Push]}}},
        "responses": {
            "200": _json("What was kept, known already, or refused line by line.", ref[Accepted]),
            "401": _problem("No token, or another one."),
            "403": _problem("The service takes no pushes."),
            "409": _problem("Another run of this name is here."),
            "413": _problem("Too large."),
            "422": _problem("Not a push."),
            "503": _problem("Cannot be kept now; send it again."),
            "507": _problem("No room for this run."),
        },
    }


def _stream(summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": {"description": "The stream.", "content": content}, "default": _problem("Why not.")},
    }


def _text(summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": "The text.", "content": content}}}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _problem(text: str) -> dict[str, Any]:
    return _json(text, {"$ref": f"#/components/schemas/{Problem.__name__}"})
