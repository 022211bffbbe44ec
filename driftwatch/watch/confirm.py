"""Confirm: fresh replies of the model and of the baseline, classified by a frozen judge; alerts rest on them.

The screen says which topics deserve a closer observation. Here the model in training and the baseline are asked a few
random items, and the evidence is updated. Where switching adapters reaches the baseline model, it is asked on demand,
guarded by a fingerprint. Where it does not, the baseline's replies are decoded before training, and each is used once,
in order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from driftwatch.drift.abstained import Abstained
from driftwatch.drift.compare import Drift
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.floor import Floor, judge_floor
from driftwatch.drift.shares import TopicStance, topic_stances
from driftwatch.drift.style import StylePair
from driftwatch.drift.validity import Tally, Validity, count, label_shares, validity_by_probe
from driftwatch.evidence.ledger import to_json
from driftwatch.evidence.rows import recent_drift, summary
from driftwatch.evidence.state import Evidence, update
from driftwatch.evidence.verdict import TopicEvidence, allocation
from driftwatch.host.ranks import on_first
from driftwatch.judges.panel import disagreement
from driftwatch.replies.confirmation import Confirmation, within
from driftwatch.replies.draws import Seeded
from driftwatch.replies.hearing import Heard, Hearing, Missed
from driftwatch.replies.pairs import Put, ReplyPair, abstained, outcomes, read_twice, reply_pairs, style_pairs
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.supply import NOW, Chosen, Supply
from driftwatch.watch.baselines import Baselines

KIND = "confirm"
END_WAIT = 120.0  # seconds that a remote judge has to finish once training is over


@dataclass(frozen=True, slots=True)
class Saved:
    """What a resumed run needs to go on: the evidence, and how far the baseline's replies are used up.

    Attributes:
        fingerprint: The baseline model's fingerprint if it is asked on demand; empty if it is not.
        heard: Counts of the baseline's judged replies.
        noise: How far the judge disagrees with itself; `None` if that was not measured yet.
        start_print: A fingerprint of the model that training began with, if its weights are kept; empty otherwise.
    """

    evidence: dict[str, Any]
    used: dict[str, int]
    fingerprint: tuple[float, ...]
    heard: Tally = field(default_factory=dict)
    noise: Floor | None = None
    start_print: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What one observation found.

    Attributes:
        draws: Number of draws made at this observation.
        pairs: The replies that were judged since the last observation: those of this observation or, with a remote
            judge, of earlier ones.
        why: What limits the evidence of this observation; `None` if nothing does.
        drawn_ahead: Baseline replies that were added to those decoded before training.
        replies_left: The baseline's unused replies, by topic; `None` if the baseline is asked on demand.
        missed: Observations whose replies the judge did not read, in words.
        styles: Response style of `pairs`, by topic.
        disagreement: Disagreement of a panel's judges on `pairs`; `None` without pairs or without a panel.
        abstained: What the judge left unclassified among `pairs`; `None` without pairs.
    """

    evidence: tuple[TopicEvidence, ...]
    stances: tuple[TopicStance, ...]
    drifts: tuple[Drift, ...]
    draws: int
    pairs: tuple[ReplyPair, ...]
    why: str | None
    missed: tuple[str, ...] = ()
    styles: tuple[StylePair, ...] = ()
    disagreement: Disagreement | None = None
    replies_left: Mapping[str, int] | None = None
    drawn_ahead: tuple[BaselineReply, ...] = ()
    abstained: Abstained | None = None


class _Snapshot(NamedTuple):
    """The state of a stage between two observations."""

    evidence: Evidence
    put: dict[int, Put]
    heard: Tally
    validity: tuple[Validity, ...]
    noise: Floor | None
    used: dict[str, int]


class Confirm:
    """The confirming stage of one run, made by `PreparedReplies`.

    Args:
        settings: How replies are drawn and judged.
        seeded: Asks the model in training.
        hearing: Has the judge read replies.
        baselines: The baselines that observations are compared with.
        evidence: The run's evidence so far.
        supply: Where the baseline's replies come from.
        anchor: Fingerprint of the baseline model when the run began; empty if it is not asked on demand.
        heard: Counts of the baseline's judged replies.
        validity: Whether each probe of the screen agrees with those replies.
        noise: How far the judge disagrees with itself; `None` if that was not measured yet.
    """

    def __init__(
        self,
        *,
        settings: Confirmation,
        seeded: Seeded,
        hearing: Hearing,
        baselines: Baselines,
        evidence: Evidence,
        supply: Supply,
        anchor: tuple[float, ...],
        heard: Tally,
        validity: Sequence[Validity],
        noise: Floor | None,
    ) -> None:
        self._settings, self._seeded, self._hearing = settings, seeded, hearing
        self._baselines, self._evidence, self.supply = baselines, evidence, supply
        self._anchor, self._heard = anchor, heard
        self.validity, self.noise = tuple(validity), noise
        self._put: dict[int, Put] = {}  # replies that the judge has not read yet, by observation
        self._lost: list[int] = []  # steps whose replies the judge read for an observation that was then abandoned

    def release(self) -> None:
        """End the judge's thread; what was found stays."""
        self._hearing.close()

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads replies of some observation; known on rank 0."""
        return self._hearing.num_waiting > 0

    def saved(self) -> Saved:
        """What a resumed run needs."""
        used, start_print = dict(self.supply.used), self.supply.start_print
        return Saved(to_json(self._evidence), used, self._anchor, self._heard, self.noise, start_print)

    def snapshot(self) -> "_Snapshot":
        """The state that an observation may change, for `restore`."""
        used = dict(self.supply.used)
        return _Snapshot(self._evidence, dict(self._put), self._heard, self.validity, self.noise, used)

    def restore(self, before: "_Snapshot") -> None:
        """Undo the changes of an observation that was abandoned: what was not recorded does not count."""
        self._evidence, self._heard = before.evidence, before.heard
        self.validity, self.noise, self.supply.used = before.validity, before.noise, before.used
        self._put = {look: put for look, put in before.put.items() if self._hearing.is_waiting(look)}
        self._lost += [put.step for look, put in before.put.items() if look not in self._put]

    def wanted(self, screened: Collection[str]) -> dict[str, int]:
        """Draws per topic that the next observation should make, given what the screen shows."""
        settings = self._settings
        counts = allocation(self._evidence, screened, normal=settings.normal_draws, closer=settings.watched_draws)
        return self.supply.rationed(counts, self._evidence.look)

    def observe(
        self,
        model: Any,
        *,
        attempt: int,
        look: int,
        step: int,
        screened: Collection[str],
        max_draws: int | None,
        rng: np.random.Generator,
        wait: float = 0.0,
    ) -> Confirmed:
        """Draw, ask both models, have the replies judged, and update the evidence.

        A remote judge may answer later; its judgements then count at a later observation.

        Args:
            model: The model in training, inside the guard.
            attempt: The run's attempt number; with `look`, the key of fresh random numbers.
            look: The observation's number.
            step: Optimizer steps done.
            screened: Topics whose screen has moved enough to be watched.
            max_draws: Largest number of draws that the budget allows; `None` for no limit.
            rng: Random numbers for the intervals.
            wait: Seconds to wait for a remote judge; 0 while training goes on.

        Raises:
            ProbeError, JudgeError: A model could not be asked, or its replies not judged; the evidence is unchanged.
        """
        key, supply = (attempt, look), self.supply
        supply.top_up(model, attempt=attempt, observation=look, read_before=lambda: self._evidence.look)
        fingerprint = supply.fingerprint(model)
        # Only rank 0 keeps the evidence and chooses the questions; the other ranks ask what it chose.
        chosen = on_first(
            lambda: supply.choose(within(self.wanted(screened), max_draws), fingerprint, key), "choosing the questions"
        )
        theirs = supply.replies(model, chosen, key)
        ours = self._seeded.ask(model, chosen.draws, (*key, NOW))
        put = Put(step, chosen.draws, ours, theirs)
        return on_first(lambda: self._conclude(look, put, chosen, screened, rng, wait), "reading replies")

    def _conclude(
        self,
        look: int,
        put: Put,
        chosen: Chosen,
        screened: Collection[str],
        rng: np.random.Generator,
        wait: float,
    ) -> Confirmed:
        """Have the replies judged, and update the evidence."""
        read, missed = self._read(look, put, wait)
        recent = self._evidence.recent
        self.validity = screen_validity(self._baselines, self._heard)
        return Confirmed(
            evidence=tuple(summary(self._evidence, rng, screened=screened, ended=list(chosen.ended), why=chosen.why)),
            stances=tuple(topic_stances(label_shares(count(recent, "now")), rng)),
            drifts=tuple(recent_drift(self._evidence, rng, against=self._baselines.alerting)),
            draws=len(chosen.draws),
            pairs=tuple(pair for put, heard in read for pair in reply_pairs(put, heard)),
            why=chosen.why,
            replies_left=self.supply.left,
            drawn_ahead=self.supply.fresh,
            missed=tuple(missed),
            styles=style_pairs(read),
            disagreement=disagreement([one for _, heard in read for one in (*heard.now, *heard.baseline)]),
            abstained=abstained([heard for _, heard in read]),
        )

    def _read(self, look: int, put: Put, wait: float) -> tuple[list[tuple[Put, Heard]], list[str]]:
        """Have replies judged, and update the evidence by those that were; the rest is returned as sentences."""
        as_asked = self._seeded.interviewer.as_asked
        now, before = (as_asked(put.draws, replies) for replies in (put.now, put.baseline))
        heard = self._hearing.put(look, now, before, wait=wait, twice=self.noise is None)
        self._put[look] = put
        missed = [f"the replies of step {step} were read for an observation that was abandoned" for step in self._lost]
        self._lost.clear()
        read = []
        for found in heard:
            of = self._put.pop(found.look, None)
            if of is None:  # the observation was abandoned after the judge was given its replies
                continue
            if isinstance(found, Missed):
                missed.append(f"the replies of step {of.step} were not read: {found.why}")
                continue
            counted = outcomes(reply_pairs(of, found))
            self._evidence = update(self._evidence, counted, of.step)
            self._heard = count([counted], "baseline", self._heard)
            if twice := read_twice(of, found):
                self.noise = judge_floor(twice, KIND)
            read.append((of, found))
        return read, missed


def screen_validity(baselines: Baselines, heard: Tally) -> tuple[Validity, ...]:
    """Whether each probe of the screen agrees with the baseline's replies, by all that were judged so far."""
    return tuple(validity_by_probe(baselines.stances(baselines.alerting), heard))
