"""Copying: what has threads, sockets and a run is copied by its settings.

Searches over hyperparameters send a trainer with its callbacks to other processes (Ray), notebooks and tests copy them.
A copy that shared a run with its original would be a second writer of it; so it is one that was just made.
"""

from typing import Any


def renewed(kind: Any, settings: dict[str, Any], extras: dict[str, Any]) -> Any:
    """What was made with some settings, made with them anew.

    Args:
        kind: Its class, or one that a user has derived and that may take other arguments.
        settings: Arguments of our own class.
        extras: Attributes that others have set.
    """
    made = kind.__new__(kind)
    ours = next(base for base in kind.__mro__ if base.__module__.startswith("driftwatch."))
    ours.__init__(made, **settings)
    vars(made).update(extras)
    return made
