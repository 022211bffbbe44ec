"""Movers: the items whose answers moved most, with the model's replies before and after where they were kept.

"Before" means the alerting baseline and "after" the last observation; both are calibrated as every observation is.
Replies come from `replies/*.jsonl` of the run, whose lines are {topic, item, order, observation, step, now, baseline};
`now` and `baseline` are each {text, outcome}.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from driftwatch.drift.calibration import Calibration, calibrated
from driftwatch.drift.outcome import Outcome
from driftwatch.errors import DriftwatchError
from driftwatch.record.record import RunInfo
from driftwatch.stance import Stance
from driftwatch.store.run_store import LookStances, RunStore
from driftwatch.store.tail import last_lines
from driftwatch.topics import load_pack

logger = logging.getLogger(__name__)

TAIL_BYTES = 1 << 22  # read from the end of a file of replies, where the newest are
MAX_REPLY = 600  # characters shown of a reply
PER_TOPIC = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's replies to one order of an item, at the baseline and at a later step; `None` where not kept."""

    order: int
    step: int | None
    before: str | None
    before_reading: str | None
    now: str | None
    now_reading: str | None

    @property
    def flipped(self) -> bool:
        """Whether the judge classified the two replies as different stances."""
        return self.before_reading != self.now_reading


@dataclass(frozen=True, slots=True)
class Mover:
    """One item that moved.

    Attributes:
        sides: Texts of its sides, where the run keeps its pack or the pack is installed; `sides[0]` favours `poles[0]`.
        shift: Log-odds shift where `unit` is "nats", else score shift; positive toward `poles[0]`.
        before, now: P(support), P(neutral), P(oppose); `None` where they were not measured.
    """

    topic: str
    item: str
    probe: str
    poles: tuple[str, str]
    control: bool
    sides: tuple[str, str] | None
    question: str | None
    shift: float
    unit: str
    before: tuple[float, float, float] | None
    now: tuple[float, float, float] | None
    step: int
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Movers:
    """The items that moved most.

    Attributes:
        found: The items, those that moved most first; at most `PER_TOPIC` per topic.
        why: Why there are none, or what limits them; `None` where neither applies.
    """

    found: tuple[Mover, ...]
    why: str | None = None


def moved_most(store: RunStore, info: RunInfo, *, limit: int = 12) -> Movers:
    """The items that moved most from the alerting baseline to the last observation.

    Args:
        store: The run.
        info: The run's attributes.
        limit: The largest number of items.
    """
    baseline = store.baseline(info.alerting_baseline)
    if baseline is None:
        return Movers((), f"the run keeps no baseline “{info.alerting_baseline}” to compare items with")
    look = last_look(store)
    if look is None:
        return Movers((), "no observation has kept its items' stances yet")
    calibration = msgspec.convert(baseline.calibration, Calibration) if baseline.calibration else None
    before = _by_item(baseline.stances, calibration)
    now = _by_item(look.stances, calibration)
    texts = _texts(store, info)
    answers = _answers(store)
    shifts = [
        (abs(shift), key, shift, unit)
        for key in now
        if key in before and (figure := _shift(before[key], now[key])) is not None
        for shift, unit in [figure]
    ]
    shifts.sort(reverse=True)
    found: list[Mover] = []
    for _, (probe, item), shift, unit in shifts:
        old, new = before[probe, item], now[probe, item]
        same = [m for m in found if m.topic == new.topic]
        if len(found) >= limit or len(same) >= PER_TOPIC or any(m.item == item for m in same):
            continue
        topic = next((t for t in info.topics if t.id == new.topic), None)
        if topic is None:
            continue
        sides, question = texts.get(item, (None, None))
        found.append(
            Mover(
                topic=new.topic,
                item=item,
                probe=probe,
                poles=topic.poles,
                control=topic.control,
                sides=sides,
                question=question,
                shift=shift,
                unit=unit,
                before=old.probs,
                now=new.probs,
                step=look.step,
                answers=tuple(answers.get((new.topic, item), ())),
            )
        )
    why = None if answers else "no replies are kept in this run: its answers were scored, not sampled"
    return Movers(tuple(found), why if found else "no item has a figure on both sides")


def last_look(store: RunStore) -> LookStances | None:
    """The items' stances of the latest observation, read from the end of the file; `None` before one."""
    path = store.folder / "stances.jsonl"
    looks = (_stances(line, path) for line in reversed(last_lines(path, most=TAIL_BYTES)))
    return next((look for look in looks if look is not None), None)


def _stances(line: bytes, path: Path) -> LookStances | None:
    try:
        return msgspec.json.decode(line, type=LookStances)
    except (msgspec.DecodeError, msgspec.ValidationError) as err:
        logger.warning("a line of %s cannot be read: %s", path, err)
        return None


def _by_item(stances: Sequence[Stance], calibration: Calibration | None) -> dict[tuple[str, str], Stance]:
    shown = calibrated(stances, calibration) if calibration else stances
    return {(stance.probe, stance.item): stance for stance in shown}


def _shift(before: Stance, now: Stance) -> tuple[float, str] | None:
    if before.log_odds is not None and now.log_odds is not None:
        return now.log_odds - before.log_odds, "nats"
    if before.probs is not None and now.probs is not None:
        return (now.probs.support - now.probs.oppose) - (before.probs.support - before.probs.oppose), "score"
    return None


def _texts(store: RunStore, info: RunInfo) -> dict[str, tuple[tuple[str, str] | None, str | None]]:
    """Sides and question by item, from the run's own copy of the pack or the same pack installed here; else empty."""
    for find in (store.pack, lambda: load_pack(info.pack)):
        try:
            pack = find()
        except (DriftwatchError, OSError) as err:
            logger.debug("pack %s of run %s is not there: %s", info.pack, store.folder.name, err)
            continue
        if pack is not None and pack.digest == info.pack_digest:
            return {item.id: (item.sides, item.question) for topic in pack for item in topic.items}
    return {}


def _answers(store: RunStore) -> dict[tuple[str, str], list[Answer]]:
    """The latest answers to each item, one per order, flips first."""
    latest: dict[tuple[str, str], dict[int, Answer]] = {}
    for line in _reply_lines(store.folder / "replies"):
        topic, item, order = line.get("topic"), line.get("item"), line.get("order")
        now, base = line.get("now"), line.get("baseline")
        if not (isinstance(topic, str) and isinstance(item, str) and isinstance(now, dict) and isinstance(base, dict)):
            continue
        step = line.get("step")
        answer = Answer(
            order=order if isinstance(order, int) else 0,
            step=step if isinstance(step, int) else None,
            before=_reply(base),
            before_reading=reading_word(base.get("outcome")),
            now=_reply(now),
            now_reading=reading_word(now.get("outcome")),
        )
        known = latest.setdefault((topic, item), {})
        if answer.flipped or answer.order not in known or not known[answer.order].flipped:
            known[answer.order] = answer
    return {key: sorted(orders.values(), key=lambda a: not a.flipped) for key, orders in latest.items()}


def reading_word(outcome: object) -> str | None:
    """A judgement in one word; `None` if the outcome is not known.

    >>> reading_word(2), reading_word(4), reading_word("?")
    ('oppose', 'off-topic', None)
    """
    if isinstance(outcome, int) and 0 <= outcome < len(Outcome):
        return Outcome(outcome).name.lower().replace("_", "-")
    return None


def _reply(side: dict[str, Any]) -> str | None:
    text = side.get("text")
    if not isinstance(text, str):
        return None
    return text if len(text) <= MAX_REPLY else f"{text[:MAX_REPLY]} …"


def _reply_lines(folder: Path) -> Iterator[dict[str, Any]]:
    paths = sorted(folder.glob("*.jsonl"), key=lambda path: path.name)[-4:] if folder.is_dir() else []
    for path in paths:
        for line in last_lines(path, most=TAIL_BYTES):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                value = msgspec.json.decode(line)
                if isinstance(value, dict):
                    yield value
