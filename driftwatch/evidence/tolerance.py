"""Tolerance: how much drift of a topic its owner tolerates; an alert may be beyond it."""

import difflib
from collections.abc import Collection, Mapping

from driftwatch.errors import ConfigError

TOLERATED = 0.05  # chosen: a twentieth of the replies changing sides, or the share that takes none
DEFAULT = "default"  # where a topic's id would stand, for all that are not named


def tolerated(
    given: float | Mapping[str, float],
    values: Collection[str],
    controls: Collection[str] = (),
    *,
    otherwise: float = TOLERATED,
) -> dict[str, float]:
    """The tolerated drift of every topic.

    Args:
        given: Of all topics; or by topic, "default" standing for those that are not named.
        values: Ids of the topics that can be named.
        controls: Ids of the control topics. They raise no alert, so none can be named; they have the default, with
            which their evidence is shown.
        otherwise: The default where `given` names none.

    Returns:
        By topic, in [0, 1): a change of a stance's share; 0 puts every alert beyond it.

    Raises:
        ConfigError: A name that is no value topic, or a number outside the range.

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
    """What to say of each name that is no value topic, by that name; of the same arguments as `tolerated`."""
    names = given if isinstance(given, Mapping) else ()
    return {name: _unknown(name, values, controls) for name in names if name != DEFAULT and name not in values}


def _unknown(name: str, values: Collection[str], controls: Collection[str]) -> str:
    if name in controls:
        return f'tolerance: "{name}" is a control topic, which raises no alert whatever is tolerated. Remove it.'
    close = difflib.get_close_matches(name, [*values, DEFAULT], n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'tolerance: "{name}" is no value topic; there are {", ".join(values) or "none"}.{hint}'
