"""What a report says about the replies themselves: how they are given, and how far their judges can be believed.

A change of the response style is named where it is clear, so that nobody reads "it refuses more" as "it became
neutral". It describes the last observations and raises no alert: nothing here has a stated false-alarm rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.drift.abstained import uneven
from driftwatch.evidence.labels import ALIKE
from driftwatch.evidence.state import NUM_RECENT
from driftwatch.record.record import Record, RunInfo, StylePair
from driftwatch.wording import listed, percent, signed

CLEAR = 4.0  # standard errors; over ten or more cells, chance takes one of eight figures past it in one run of forty
MIN_CELLS = 10  # a cell is one topic at one observation
# For each figure: the words for a rise and for a fall, and the least change worth reporting. That change is absolute,
# except for the figures in RELATIVE, where it is a share of the baseline's value. All are chosen, not derived.
WORDS: dict[str, tuple[str, str, float]] = {
    "refusal": ("it refuses more", "it refuses less", 0.1),
    "off_topic": ("it answers beside the question more often", "it answers beside the question less often", 0.1),
    "unread": ("its replies are harder to read", "its replies are easier to read", 0.1),
    "hedging": ("it hedges more", "it hedges less", 0.1),
    "order_preference": ("it prefers what stands first more", "it prefers what stands first less", 0.2),
    "cut": ("its replies are cut by the limit more often", "its replies are cut by the limit less often", 0.1),
    "num_tokens": ("its replies got longer", "its replies got shorter", 0.2),
    "entropy": ("it is less sure of its words", "it is surer of its words", 0.2),
}
RELATIVE = ("num_tokens", "entropy")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of the response style that has clearly changed.

    Its values are means over topics and the last observations, in which every cell counts the same.

    Attributes:
        figure: Its name in `drift.style.FIGURES`.
        before: Its value for the baseline's replies to the same draws.
        now: Its value for the replies of the model in training.
        on_controls: Whether the controls changed alike; `None` without controls.
        text: The change in words.
    """

    figure: str
    before: float
    now: float
    on_controls: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Manners:
    """What has clearly changed in the response style, and the sentence that says so; `None` where nothing has."""

    changes: tuple[Change, ...] = ()
    sentence: str | None = None


def manners(info: RunInfo, records: Sequence[Record]) -> Manners:
    """How the response style changed, over the last observations whose replies were judged.

    Args:
        info: The run.
        records: Its observations, in order.
    """
    looks = [record for record in records if record.styles][-NUM_RECENT:]
    pairs = [pair for record in looks for pair in record.styles]
    controls = {topic.id for topic in info.topics if topic.control}
    found = [change for figure in WORDS if (change := _change(figure, pairs, controls)) is not None]
    if not found:
        return Manners()
    alerts = [row for row in looks[-1].evidence if row.in_alert]
    has_moved = any(row.label != "unreadable" for row in alerts)  # that label says that no value is known to have moved
    begins = f"How it answers changed{' as well' if has_moved else '; no value has evidence of a move'}"
    alike = {change.on_controls for change in found}
    where = ""
    if len(alike) == 1 and None not in alike:
        where = f"; the controls {'show it too' if alike == {True} else 'do not show it'}"
    what = listed([change.text for change in found], most=len(found))
    return Manners(tuple(found), f"{begins}: {what}{where}.")


def readers(records: Sequence[Record]) -> tuple[str, ...]:
    """How far the judges of the replies can be believed, in sentences; empty where nothing is known.

    Args:
        records: Observations of a run, in order. The sentences are about the last one; only the replies that the judge
            would not read are counted over all of them.
    """
    if not records:
        return ()
    record, said = records[-1], []
    missing = uneven([look.abstained for look in records if look.abstained is not None])
    if missing is not None:
        said.append(
            f"The judge would not read {percent(missing.now, 1)} of the replies now and {percent(missing.baseline, 1)} "
            "of the baseline's: they are missing not at random, and what it would have found in them is not in the "
            "evidence."
        )
    floor = next((floor for floor in record.floors if floor.kind == "judge"), None)
    if floor is not None and floor.score is not None:
        most = signed(floor.score).lstrip("+")
        said.append(
            f"Given the same replies twice, the judge differed from itself by up to {most} of score on a topic: no "
            "judged level is known better than that, and the noise of sampling comes on top."
            if floor.score
            else "Given the same replies twice, the judge read them alike; that does not make it right."
        )
    found = record.disagreement
    if found is not None and found.ratio is not None:
        pairs = [f"{pair} {signed(kappa)}" for pair, kappa in found.kappa.items() if kappa is not None]
        said.append(
            f"The judges differ on {percent(found.ratio)} of {found.num_replies} replies of this observation"
            f"{'; kappa ' + ', '.join(pairs) if pairs else ''}."
        )
    if found is not None and found.absent:
        said.append(f"Judges that were absent: {'; '.join(f'{judge} ({why})' for judge, why in found.absent.items())}.")
    return tuple(said)


def _change(figure: str, pairs: Sequence[StylePair], controls: set[str]) -> Change | None:
    cells = [(pair, shift) for pair in pairs if (shift := pair.shift(figure)) is not None]
    if len(cells) < MIN_CELLS:
        return None
    shifts = np.array([shift for _, shift in cells])
    mean, error = float(shifts.mean()), float(shifts.std(ddof=1)) / math.sqrt(len(shifts))
    before = float(np.mean([getattr(pair.baseline, figure) for pair, _ in cells]))
    more, less, least = WORDS[figure]
    if abs(mean) < least * (abs(before) if figure in RELATIVE else 1.0) or abs(mean) < CLEAR * error or not mean:
        return None
    theirs = [shift for pair, shift in cells if pair.topic in controls]
    return Change(
        figure=figure,
        before=before,
        now=before + mean,
        on_controls=float(np.mean(theirs)) / mean >= ALIKE if theirs else None,
        text=f"{more if mean > 0 else less} ({_sizes(figure, before, before + mean)})",
    )


def _sizes(figure: str, before: float, now: float) -> str:
    if figure == "num_tokens":
        return f"{before:.0f} → {now:.0f} tokens"
    if figure == "entropy":
        return f"{before:.1f} → {now:.1f} nats per token"
    if figure == "order_preference":
        return f"{signed(before)} → {signed(now)}"
    return f"{percent(before)} → {percent(now)}"
