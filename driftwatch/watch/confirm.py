"""Confirm: what the model writes beside what the baseline writes, read by a frozen judge; alerts rest on it.

The screen says which topics deserve a closer observation; here a few random items are asked again, of the model in
training and of the baseline, and the evidence moves on. Where switching adapters reaches the baseline model it is asked
on demand, guarded by a fingerprint; where it does not, its replies are drawn and decoded before training, and each is
used once, in its order.
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
END_WAIT = 120.0  # seconds for a remote judge to finish once training is over


@dataclass(frozen=True, slots=True)
class Saved:
    """What a resumed run needs to go on: the evidence, and how far the baseline's replies are used up.

    Attributes:
        fingerprint: Of the baseline model where it is asked on demand; empty where it is not.
        heard: The baseline's judged replies, counted.
        noise: What the judge differs from itself by; `None` where that was not measured yet.
        start_print: A fingerprint of the model that training began with, where its weights are kept.
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
        draws: How many were made at this observation.
        pairs: The replies that were read since the last observation, of this observation or, with a remote judge, of
            earlier ones.
        why: What limits the evidence of this observation; `None` where nothing does.
        drawn_ahead: Replies of the baseline that were added to those drawn before training.
        replies_left: The baseline's replies that are not used yet, by topic; `None` where it is asked on demand.
        missed: Observations that the judge did not read, in words.
        styles: How `pairs` were said, by topic.
        disagreement: Of a panel's judges on `pairs`; `None` where none were read, or by no panel.
        abstained: What the judge left unclassified of `pairs`; `None` where none were read.
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
    """How a stage stands between two observations."""

    evidence: Evidence
    put: dict[int, Put]
    heard: Tally
    validity: tuple[Validity, ...]
    noise: Floor | None
    used: dict[str, int]


class Confirm:
    """The stage of one run, from `PreparedReplies`.

    Args:
        settings: How replies are drawn and read.
        seeded: Asks the model in training.
        hearing: Has replies read.
        baselines: What is compared with.
        evidence: As the run has it.
        supply: Where the baseline's replies come from.
        anchor: Fingerprint of the baseline model when the run began; empty where it is not asked on demand.
        heard: The baseline's judged replies, counted.
        validity: Whether each probe of the screen says what those replies say.
        noise: What the judge differs from itself by; `None` where that was not measured yet.
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
        self._put: dict[int, Put] = {}  # by observation, what the judge has not read yet
        self._lost: list[int] = []  # steps whose replies it read for an observation that was abandoned

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
        """What an observation changes, for `restore`."""
        used = dict(self.supply.used)
        return _Snapshot(self._evidence, dict(self._put), self._heard, self.validity, self.noise, used)

    def restore(self, before: "_Snapshot") -> None:
        """Take back what an observation that was abandoned has changed: what was not recorded does not count."""
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
        """Draw, ask both models, have replies read, and move the evidence on, at once or when a remote judge has read.

        Args:
            model: In training, inside the guard.
            attempt: Of the run; with `look` the key of fresh random numbers.
            look: The observation's number.
            step: Optimizer steps done.
            screened: Topics whose screen moved by enough to be watched.
            max_draws: What the budget allows; `None` for no limit.
            rng: For intervals.
            wait: Seconds to wait for a remote judge; 0 while training goes on.

        Raises:
            ProbeError, JudgeError: Nobody could be asked or read; the evidence stays where it was.
        """
        key, supply = (attempt, look), self.supply
        supply.top_up(model, attempt=attempt, observation=look, read_before=lambda: self._evidence.look)
        fingerprint = supply.fingerprint(model)
        # Rank 0 alone keeps the evidence and chooses; the others ask what they are told.
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
        """Has the replies read, and moves the evidence on."""
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
        """Have replies read, and move the evidence on by all that were; what was not read comes with the reason."""
        as_asked = self._seeded.interviewer.as_asked
        now, before = (as_asked(put.draws, replies) for replies in (put.now, put.baseline))
        heard = self._hearing.put(look, now, before, wait=wait, twice=self.noise is None)
        self._put[look] = put
        missed = [f"the replies of step {step} were read for an observation that was abandoned" for step in self._lost]
        self._lost.clear()
        read = []
        for found in heard:
            of = self._put.pop(found.look, None)
            if of is None:  # of an observation that was abandoned after the judge was given its replies
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
    """Whether the screen says what the baseline's replies say, by all that were read so far."""
    return tuple(validity_by_probe(baselines.stances(baselines.alerting), heard))
