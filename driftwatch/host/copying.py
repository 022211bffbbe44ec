"""Copies an object that has threads, sockets and a run by making a new one with the same settings.

Searches over hyperparameters send a trainer with its callbacks to other processes (Ray); notebooks and tests copy them.
A copy that shared its original's run would be a second writer of it, so a copy starts without a run.
"""

from typing import Any


def renewed(kind: Any, settings: dict[str, Any], extras: dict[str, Any]) -> Any:
    """A new object with the settings of an old one.

    Args:
        kind: Its class, which may be a user's subclass whose constructor takes other arguments.
        settings: Arguments of our own class.
        extras: Attributes that others have set on the old one.
    """
    made = kind.__new__(kind)
    ours = next(base for base in kind.__mro__ if base.__module__.startswith("driftwatch."))
    ours.__init__(made, **settings)
    vars(made).update(extras)
    return made
