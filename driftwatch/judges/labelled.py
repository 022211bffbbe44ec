"""Labelled replies: reads replies that a person has judged, from a file of JSON lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked
from driftwatch.judges.judging import Outcome
from driftwatch.judges.scorecard import Labelled
from driftwatch.stance import STANCES
from driftwatch.topics.question import Framing
from driftwatch.topics.topic import Item

_KEYS = "reply, stance (support, neutral, oppose or null), and sides (two texts) or proposition"


def load_labelled(path: Path) -> list[Labelled]:
    """The labelled replies in a file with one JSON object per line.

    An object has the keys `reply`, `stance`, and `sides` or `proposition`. A `stance` of "support" is toward `sides[0]`
    or agrees with the `proposition`; `null` means that the person finds no stance. Further keys are optional: `order`
    (0, or 1 if `sides[1]` was shown first), `question`, `framing`, `refusal` (true if the reply declines), `poles`,
    `topic`, `item`, `split`, and `kind` (how the stance is put, such as "rejecting"; figures are given for each kind).

    Raises:
        JudgeError: The file or a line cannot be used; the message names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise JudgeError(f"{path}: expected a readable UTF-8 file of labelled replies; {_problem(err)}.") from err
    found = [_labelled(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise JudgeError(f"{path}: expected labelled replies, one JSON object a line; found none.")
    return found


def _problem(err: Exception) -> str:
    if isinstance(err, FileNotFoundError):
        return "there is no such file"
    return err.strerror.lower() if isinstance(err, OSError) and err.strerror else str(err)


def _labelled(line: str, where: str) -> Labelled:
    try:
        entry = json.loads(line)
    except ValueError as err:
        raise JudgeError(f"{where}: expected a JSON object; {err}.") from err
    if not isinstance(entry, dict):
        raise JudgeError(f"{where}: expected a JSON object; found {type(entry).__name__}.")
    reply, stance, refusal = entry.get("reply"), entry.get("stance", "missing"), entry.get("refusal", False)
    if not isinstance(reply, str) or stance not in (*STANCES, None) or not isinstance(refusal, bool):
        raise JudgeError(
            f"{where}: expected {_KEYS}, and refusal as true or false if at all; "
            f"found reply={reply!r:.60}, stance={stance!r:.60}, refusal={refusal!r:.60}."
        )
    if refusal and stance is not None:
        raise JudgeError(
            f"{where}: a refusal takes no stance; found {stance!r}. Set stance to null or refusal to false."
        )
    label: Outcome | None = "refusal" if refusal else stance
    return Labelled(_asked(entry, reply, where), label, entry.get("split"), entry.get("kind"))


def _asked(entry: Mapping[str, Any], reply: str, where: str) -> Asked:
    sides, framing = _sides(entry, where)
    order = entry.get("order", 0)
    if order not in (0, 1):
        raise JudgeError(f"{where}: expected order 0 or 1; found {order!r}.")
    item = Item(str(entry.get("item", where)), sides, entry.get("question") if framing == "open" else None)
    poles = entry.get("poles") or sides
    # A file may leave out the text of a two-sided question, since its sides are enough.
    question = entry.get("question") or f"{sides[order]} / {sides[1 - order]}"
    return Asked(str(entry.get("topic", "unknown")), (poles[0], poles[1]), item, framing, order, question, reply)


def _sides(entry: Mapping[str, Any], where: str) -> tuple[tuple[str, str], Framing]:
    sides, proposition = entry.get("sides"), entry.get("proposition")
    if isinstance(sides, list) and len(sides) == 2 and all(isinstance(s, str) and s for s in sides):
        framing = entry.get("framing", "two_sided")
        if framing not in get_args(Framing):
            raise JudgeError(f"{where}: expected framing as one of {', '.join(get_args(Framing))}; found {framing!r}.")
        return (sides[0], sides[1]), framing
    if isinstance(proposition, str) and proposition:
        return (proposition, f"It is not true that {proposition[0].lower()}{proposition[1:]}"), "open"
    raise JudgeError(f"{where}: expected {_KEYS}; found sides={sides!r:.80}, proposition={proposition!r:.80}.")
