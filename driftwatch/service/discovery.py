"""Addresses at which running trainers serve their metrics, for Prometheus' HTTP service discovery.

A trainer takes a free port when its own is in use, so a fixed scrape configuration misses the second job on a host.
Each trainer writes its address to its folder, and a Prometheus that asks this endpoint finds all of them.
"""

import re

import msgspec

from driftwatch.service.follow import FollowedRun
from driftwatch.service.library import Library

_HOST = re.compile(r"[A-Za-z0-9._:-]{0,253}")
WILDCARDS = ("0.0.0.0", "::", "")


class _Endpoint(msgspec.Struct):
    address: str
    port: int
    host: str | None = None


class TargetGroup(msgspec.Struct):
    """One trainer: where to scrape it, and labels for relabelling."""

    targets: list[str]
    labels: dict[str, str]


def targets(library: Library) -> list[TargetGroup]:
    """One group for each running run that serves metrics."""
    found = []
    for run in library:
        endpoint = _endpoint(run) if run.state == "running" else None
        if endpoint is not None:
            found.append(TargetGroup([_address(endpoint)], {"__meta_driftwatch_run": run.name}))
    return found


def _endpoint(run: FollowedRun) -> _Endpoint | None:
    path = run.store.folder / "endpoint.json"
    if path.is_symlink():
        return None
    try:
        endpoint = msgspec.json.decode(path.read_bytes(), type=_Endpoint)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
    names = (endpoint.address, endpoint.host or "")
    return endpoint if 0 < endpoint.port < 65536 and all(map(_HOST.fullmatch, names)) else None


def _address(endpoint: _Endpoint) -> str:
    """Host and port; a trainer that listens everywhere is reached by its host's name."""
    host = (endpoint.host or "localhost") if endpoint.address in WILDCARDS else endpoint.address
    return f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"
