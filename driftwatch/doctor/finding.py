"""Finding: the result of one check by `driftwatch doctor`."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "skipped", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, and what to do about it.

    Attributes:
        check: What was checked, in a word.
        level: "problem" keeps a run from being watched as its settings say, and "warning" does not; "skipped" was not
            checked, for the reason in `text`.
        text: What was found.
        fix: What to do; `None` where there is nothing to do.
    """

    check: str
    level: Level
    text: str
    fix: str | None = None
