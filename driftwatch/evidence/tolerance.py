"""Tolerance: how much drift of a topic its owner tolerates; an alert beyond it is marked as such."""

import difflib
from collections.abc import Collection, Mapping

from driftwatch.errors import ConfigError

TOLERATED = 0.05  # chosen: a twentieth of the replies changes sides, or the share that takes none changes by as much
DEFAULT = "default"  # stands in place of a topic's id, for all topics that are not named


def tolerated(
    given: float | Mapping[str, float],
    values: Collection[str],
    controls: Collection[str] = (),
    *,
    otherwise: float = TOLERATED,
) -> dict[str, float]:
    """The tolerated drift of every topic.

    Args:
        given: One tolerance for all topics, or one by topic, in which "default" stands for all topics not named.
        values: Ids of the value topics, which can be named.
        controls: Ids of the control topics. They raise no alert, so they cannot be named; they have the default
            tolerance, with which their evidence is shown.
        otherwise: The default where `given` names none.

    Returns:
        The tolerated change of a stance's share by topic, in [0, 1); 0 puts every alert beyond tolerance.

    Raises:
        ConfigError: `given` names something other than a value topic, or a tolerance is outside the range.

    >>> tolerated({"default": 0.1, "work": 0.2}, ["work", "climate"])
    {'work': 0.2, 'climate': 0.1}
    """
    by_name = dict(given) if isinstance(given, Mapping) else {DEFAULT: given}
    for sentence in misnamed(given, values, controls).values():
        raise ConfigError(sentence)
    for name, tolerance in by_name.items():
        if not 0 <= tolerance < 1:
            which = f'tolerance: "{name}"' if isinstance(given, Mapping) else "tolerance"
            raise ConfigError(
                f"{which} is a change of a stance's share, from 0 up to but not including 1; found {tolerance}."
            )
    default = by_name.get(DEFAULT, otherwise)
    return {name: by_name.get(name, default) for name in (*values, *controls)}


def misnamed(
    given: float | Mapping[str, float], values: Collection[str], controls: Collection[str] = ()
) -> dict[str, str]:
    """An error message for each name that is no value topic, by that name; the arguments are those of `tolerated`."""
    names = given if isinstance(given, Mapping) else ()
    return {name: _unknown(name, values, controls) for name in names if name != DEFAULT and name not in values}


def _unknown(name: str, values: Collection[str], controls: Collection[str]) -> str:
    if name in controls:
        return f'tolerance: "{name}" is a control topic, which raises no alert whatever is tolerated. Remove it.'
    close = difflib.get_close_matches(name, [*values, DEFAULT], n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'tolerance: "{name}" is no value topic; there are {", ".join(values) or "none"}.{hint}'
