"""One thing that `driftwatch doctor` looked at."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "skipped", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what to do about it.

    Attributes:
        check: What was looked at, in a word.
        level: "problem" keeps a run from being watched as its settings say; "warning" does not; "skipped" was not
            looked at, for the reason in `text`.
        text: What was found.
        fix: What to do; `None` where nothing is.
    """

    check: str
    level: Level
    text: str
    fix: str | None = None
