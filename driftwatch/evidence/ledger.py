"""Ledger: the evidence of one run as JSON, for the run folder; it has no batch axes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import Draws
from driftwatch.evidence.state import Evidence, Settings, begin, derive, directed

VERSION = 1
_ARRAYS = (
    "counts_TP",
    "log_a_TDKGHB",
    "log_apart_VCKGHB",
    "log_lost_TGB",
    "log_pooled_GB",
    "alert_look_VDK",
    "value_look_VDK",
    "readability_look",
)
_LATER = ("alert_sign_VK", "readability_sign", "label_VK")  # absent in ledgers of earlier versions
_MOVES = ("moved_VK", "moved_pooled")  # absent in ledgers of earlier versions, too
_ONSETS = ("onset_TK", "onset_pooled")


def to_json(state: Evidence) -> dict[str, Any]:
    """Everything that the next look needs, as JSON values: about 100 kB for 14 topics."""
    return {
        "version": VERSION,
        "settings": asdict(state.settings),
        "look": state.look,
        "steps": list(state.steps),
        "taken_back": list(state.taken_back),
        "recent": [{name: draws.to_json() for name, draws in look.items()} for look in state.recent],
        **{name: _to_list(getattr(state, name)) for name in (*_ARRAYS, *_LATER)},
        **{name: [_to_list(array) for array in getattr(state, name)] for name in (*_ONSETS, *_MOVES)},
    }


def from_json(data: Mapping[str, Any]) -> Evidence:
    """The evidence that `to_json` wrote, bit for bit.

    Raises:
        ValueError: The data has another version, or arrays that do not fit its settings.
    """
    if data.get("version") != VERSION:
        raise ValueError(
            f"expected evidence of version {VERSION}, found {data.get('version')!r}; evidence of another version "
            f"cannot be continued. Begin a new run."
        )
    empty = begin(Settings(**{key: _tuple(value) for key, value in data["settings"].items()}))
    restored: dict[str, Any] = {name: _from_list(data[name], getattr(empty, name), name) for name in _ARRAYS}
    restored |= {name: _from_list(data[name], getattr(empty, name), name) for name in _LATER if name in data}
    for name in (*_ONSETS, *(name for name in _MOVES if name in data)):
        likes = getattr(empty, name)
        restored[name] = type(likes)(*(_from_list(x, like, name) for x, like in zip(data[name], likes, strict=True)))
    state = replace(
        empty,
        look=data["look"],
        steps=tuple(data["steps"]),
        taken_back=tuple(data.get("taken_back", ())),
        recent=tuple({name: Draws.from_json(d) for name, d in look.items()} for look in data["recent"]),
        **restored,
    )
    if not state.look:
        return state
    # An alert of an earlier version has no sign yet, so it takes that of the evidence now.
    return directed(replace(state, figures=derive(state)))


def _to_list(array: NDArray[Any]) -> list[int | float | None]:
    """The values as a flat list, with None for −inf, which JSON does not know."""
    return [None if value == -math.inf else value for value in array.ravel().tolist()]


def _from_list(data: list[int | float | None], like: NDArray[Any], name: str) -> NDArray[Any]:
    if len(data) != like.size:
        raise ValueError(
            f"expected {like.size} values of {name} for these settings, found {len(data)}; the evidence is damaged. "
            f"Go on from the look before, or begin a new run."
        )
    values = [-math.inf if value is None else value for value in data]
    return np.array(values, like.dtype).reshape(like.shape)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
