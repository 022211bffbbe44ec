"""Confirm: what the model writes beside what the baseline writes, read by a frozen judge; alerts rest on it.

The screen says which topics deserve a closer look; here a few random items are asked again, of the model in training
and of the baseline, and the evidence moves on. Where switching adapters reaches the baseline model it is asked on
demand, guarded by a fingerprint; where it does not, its replies are drawn and decoded before training, and each is used
once, in its order.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from driftwatch.chat.fitting import check_fits
from driftwatch.chat.format import ChatFormat
from driftwatch.drift.abstained import Abstained
from driftwatch.drift.compare import Drift
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.floor import Floor, judge_floor
from driftwatch.drift.shares import TopicStance, topic_stances
from driftwatch.drift.style import StylePair
from driftwatch.drift.validity import Tally, Validity, count, label_shares, validity_by_probe
from driftwatch.errors import ConfigError
from driftwatch.evidence.ledger import from_json, to_json
from driftwatch.evidence.rows import recent_drift, summary
from driftwatch.evidence.state import Evidence, Settings, begin, rolled_back, update
from driftwatch.evidence.verdict import TopicEvidence, allocation
from driftwatch.host.identity import recognise, same_model
from driftwatch.host.ranks import on_first
from driftwatch.judges.by_name import judge_by_name
from driftwatch.judges.judge import Judge
from driftwatch.judges.panel import disagreement
from driftwatch.replies.confirmation import Confirmation, within
from driftwatch.replies.draws import IN_PROCESS, Draw, Interviewer, draw
from driftwatch.replies.hearing import Heard, Hearing, Missed
from driftwatch.replies.pairs import Put, ReplyPair, abstained, outcomes, read_twice, reply_pairs, style_pairs
from driftwatch.replies.pool import BaselineReply, Pool
from driftwatch.replies.sampler import Fingerprint, settle
from driftwatch.replies.sampling import Reply
from driftwatch.replies.supply import Supply
from driftwatch.replies.vllm import Engine
from driftwatch.topics.topic import Topic
from driftwatch.watch.baselines import Baselines

logger = logging.getLogger(__name__)

KIND = "confirm"
END_WAIT = 120.0  # seconds for a remote judge to finish once training is over
ITEMS, NOW, BASELINE = range(10, 13)  # parts of a generator's key, apart from the monitor's and the supply's


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
    """What one look found.

    Attributes:
        draws: How many were made at this look.
        pairs: The replies that were read since the last look, of this look or, with a remote judge, of earlier ones.
        why: What limits the evidence of this look; `None` where nothing does.
        drawn_ahead: Replies of the baseline that were added to those drawn before training.
        replies_left: The baseline's replies that are not used yet, by topic; `None` where it is asked on demand.
        missed: Looks that the judge did not read, in words.
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


class _Chosen(NamedTuple):
    """What one observation asks.

    Attributes:
        theirs: The baseline's replies, where they were decoded before training; `None` where it is asked now.
        why: What limits the evidence.
        ended: Topics whose replies of the baseline are used up.
    """

    draws: list[Draw]
    theirs: Sequence[Reply] | None
    why: str | None
    ended: list[str]


class _Snapshot(NamedTuple):
    """How a stage stands between two observations."""

    evidence: Evidence | None
    put: dict[int, Put]
    heard: Tally
    validity: tuple[Validity, ...]
    noise: Floor | None
    used: dict[str, int]


class Confirm:
    """The stage of one run.

    Args:
        settings: How replies are drawn and read.
        topics: The bank.

    Attributes:
        seed: Of everything that is drawn; the run's, settled before `begin` or `resume`.
    """

    def __init__(self, settings: Confirmation, topics: Sequence[Topic], *, seed: int = 0) -> None:
        self.settings = settings
        self._topics = [topic for topic in topics if any(item.sides for item in topic.items)]
        if not self._topics:
            raise ConfigError(
                "replies are drawn to items with two sides, and the pack has none; add sides to its items, or leave it "
                "at the screen (confirm=None)."
            )
        judge = settings.judge
        self._judge: Judge = judge_by_name(judge) if isinstance(judge, str) else judge
        self.seed = seed
        self._hearing = Hearing(self._judge)
        self._put: dict[int, Put] = {}  # by look, what the judge has not read yet
        self._lost: list[int] = []  # steps whose replies it read for an observation that was abandoned
        self._interviewer: Interviewer | None = None
        self._notes: tuple[str, ...] = ()  # about how replies are asked for, and by whom
        self._baselines: Baselines | None = None
        self._evidence: Evidence | None = None
        self._supply: Supply | None = None  # where the baseline model cannot be asked on demand
        self._heard: Tally = {}
        self._fingerprint: tuple[float, ...] = ()
        self._anchor: tuple[float, ...] = ()  # the fingerprint when the run began, wherever it goes on
        self.validity: tuple[Validity, ...] = ()  # of the latest look that drew replies
        self.noise: Floor | None = None  # what the judge differs from itself by, measured once a run

    def prepare(
        self,
        model: Any,
        tokenizer: Any,
        *,
        engine: Engine | str | None,
        fingerprint: Fingerprint,
        kept: Mapping[str, str] | None,
    ) -> None:
        """Encode for this tokenizer, settle who writes the replies, and prove that they are the model's own.

        Args:
            model: The model in training, inside the guard.
            tokenizer: Its tokenizer or processor.
            engine: What `find_engine` says of the trainer.
            fingerprint: Tells two models apart.
            kept: The identity of a run that goes on; `None` for a new one.

        Raises:
            BaselineError: Who wrote the replies of the run that goes on is gone.
            ProbeError: Replies that are sampled in this process cannot be trusted; on every rank.
        """
        chat = ChatFormat(tokenizer, self.settings.wrap)
        self._interviewer = Interviewer(self._topics, chat, self.settings.decoding, chat.stop_ids)
        check_fits(model, chat, self._interviewer.prompts, new_tokens=self.settings.decoding.max_new_tokens)
        began = None if kept is None else kept.get(f"{KIND}/sampler", IN_PROCESS)
        settled = settle(self._interviewer, model, engine, fingerprint=fingerprint, began_with=began)
        self._notes = (*chat.notes, *settled)
        if self._interviewer.engine is None:
            proved = self._interviewer.prove(model)
            logger.info("%s", proved.sentence)
            if proved.note is not None:
                logger.warning("%s", proved.note)
                self._notes = (*self._notes, proved.note)

    def identity(self) -> dict[str, str]:
        """What two measurements must share; after `prepare`."""
        assert self._interviewer is not None
        identity = {"judge": self._hearing.judge_id, **self._interviewer.identity()}
        return {f"{KIND}/{part}": value for part, value in identity.items()}

    def within_reach(self, baselines: Baselines) -> Baselines:
        """The baselines of a new run as its sampler reaches them: an engine cannot switch adapters."""
        assert self._interviewer is not None
        reference = None if self._interviewer.engine is not None else baselines.reference
        return replace(baselines, reference=reference, notes=tuple(dict.fromkeys((*baselines.notes, *self._notes))))

    def begin(
        self,
        model: Any,
        baselines: Baselines,
        *,
        resolved: Collection[str],
        alpha: float,
        tolerance: Mapping[str, float],
        planned_looks: int | None,
        fingerprint: tuple[float, ...],
        folder: Path,
        tell_apart: Fingerprint,
    ) -> None:
        """Fix the hypotheses that share alpha, and decode the baseline's replies where they cannot be had later.

        Args:
            model: At the start of training, inside the guard.
            baselines: What is compared with.
            resolved: Topics on which the model has resolution; the others are left out for the whole run.
            alpha: Probability of any false alert in the run.
            tolerance: By topic, the drift beyond which an alert is "material".
            planned_looks: After the first one; `None` if unknown.
            fingerprint: Of the baseline model, where it can be reached.
            folder: Of the run, where start weights may be kept.
            tell_apart: Measures a model so that it is known again.

        Raises:
            ConfigError: The start weights shall be kept and cannot be.
        """
        values = tuple(t.id for t in self._topics if not t.control and t.id in resolved)
        controls = tuple(t.id for t in self._topics if t.control)
        self._forget()
        self._baselines, self._fingerprint, self._anchor = baselines, fingerprint, fingerprint
        self._heard, self.validity = baselines.heard, baselines.validity
        own = {name: tolerance[name] for name in (*values, *controls)}
        settings = Settings(values, controls, planned_looks=planned_looks or None, alpha=alpha, tolerance=own)
        self._evidence = begin(settings)
        if baselines.reference is None:
            assert self._interviewer is not None
            self._supply = self._supply_of(self._evidence, tell_apart)
            self._supply.begin(model, folder, is_written_elsewhere=self._interviewer.engine is not None)

    def resume(
        self,
        baselines: Baselines,
        saved: Saved,
        pool: Sequence[BaselineReply],
        fingerprint: tuple[float, ...],
        step: int,
        *,
        folder: Path,
        tell_apart: Fingerprint,
    ) -> str | None:
        """Go on from the latest evidence, whatever the checkpoint: taking looks back would spend alpha again.

        Args:
            baselines: What is compared with.
            saved: What the run left.
            pool: The baseline's replies that were drawn before training.
            fingerprint: Of the baseline model now, where it can be reached. If it is what it was up to the rounding of
                other hardware, it counts from now on.
            step: Of the checkpoint; what was drawn of later weights tells nothing of those that go on.
            folder: Of the run, where the start weights may lie.
            tell_apart: Measures a model so that it is known again.

        Returns:
            What a reader should know about that model; `None` where it is what it was.
        """
        self._forget()
        self._baselines, self._anchor = baselines, saved.fingerprint
        known = recognise(saved.fingerprint, fingerprint, baselines.moved)
        self._fingerprint = fingerprint if known.is_same else saved.fingerprint
        self._evidence = rolled_back(from_json(saved.evidence), step)
        self._heard, self.noise = saved.heard, saved.noise
        if baselines.reference is None:
            self._supply = self._supply_of(self._evidence, tell_apart)
            self._supply.resume(pool, saved.used, start_print=saved.start_print, folder=folder)
        self._judge_screen()
        return known.note

    def release(self) -> None:
        """End the judge's thread and let go of whoever writes the replies; what was found stays."""
        self._hearing.close()
        self._interviewer = None

    def _forget(self) -> None:
        """Nothing of an earlier training may reach this one, least of all replies that its judge still reads."""
        self._hearing.close()
        self._put.clear()
        self._lost.clear()
        self._supply, self._heard, self.validity, self.noise = None, {}, (), None

    @property
    def pool(self) -> Pool:
        """The baseline's replies that were drawn ahead; empty where it is asked on demand."""
        return Pool() if self._supply is None else self._supply.pool

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads replies of some look; known on rank 0."""
        return self._hearing.num_waiting > 0

    def saved(self) -> Saved:
        """What a resumed run needs."""
        assert self._evidence is not None
        used, start_print = ({}, ()) if self._supply is None else (dict(self.pool.used), self._supply.start_print)
        return Saved(to_json(self._evidence), used, self._anchor, self._heard, self.noise, start_print)

    def snapshot(self) -> "_Snapshot":
        """What an observation changes, for `restore`."""
        return _Snapshot(self._evidence, dict(self._put), self._heard, self.validity, self.noise, dict(self.pool.used))

    def restore(self, before: "_Snapshot") -> None:
        """Take back what an observation that was abandoned has changed: what was not recorded does not count."""
        self._evidence, self._heard = before.evidence, before.heard
        self.validity, self.noise, self.pool.used = before.validity, before.noise, before.used
        self._put = {look: put for look, put in before.put.items() if self._hearing.is_waiting(look)}
        self._lost += [put.step for look, put in before.put.items() if look not in self._put]

    def wanted(self, screened: Collection[str]) -> dict[str, int]:
        """Draws a topic that the next look should make, given what the screen shows."""
        assert self._evidence is not None
        settings = self.settings
        counts = allocation(self._evidence, screened, normal=settings.normal_draws, closer=settings.watched_draws)
        return counts if self._supply is None else self._supply.rationed(counts, self._evidence.look)

    def observe(
        self,
        model: Any,
        *,
        attempt: int,
        look: int,
        step: int,
        screened: Collection[str],
        max_draws: int | None,
        fingerprint: tuple[float, ...],
        rng: np.random.Generator,
        wait: float = 0.0,
    ) -> Confirmed:
        """Draw, ask both sides, read, and move the evidence on, at once or when a remote judge has read.

        Args:
            model: In training, inside the guard.
            attempt: Of the run; with `look` the key of fresh random numbers.
            look: Its number.
            step: Optimizer steps done.
            screened: Topics whose screen moved by enough to be watched.
            max_draws: What the budget allows; `None` for no limit.
            fingerprint: Of the baseline model now, where it is asked on demand.
            rng: For intervals.
            wait: Seconds to wait for a remote judge; 0 while training goes on.

        Raises:
            ProbeError, JudgeError: Nobody could be asked or read; the evidence stays where it was.
        """
        # Rank 0 alone keeps the evidence and chooses; the others ask what they are told.
        if self._supply is not None:
            looks_before, self.pool.used = on_first(self._books, "counting the baseline's replies")
            self._supply.top_up(model, attempt=attempt, look=look, looks_before=looks_before)
        chosen = on_first(
            lambda: self._choose(screened, max_draws, fingerprint, attempt, look), "choosing the questions"
        )
        theirs: Sequence[Reply] | None = chosen.theirs
        if theirs is None:
            assert self._baselines is not None
            assert self._baselines.reference is not None
            with self._baselines.reference.active(model) as referred:
                theirs = self._ask(referred, chosen.draws, (attempt, look, BASELINE))
        ours = self._ask(model, chosen.draws, (attempt, look, NOW))
        put = Put(step, chosen.draws, ours, theirs)
        return on_first(lambda: self._conclude(look, put, chosen, screened, rng, wait), "reading replies")

    def _books(self) -> tuple[int, dict[str, int]]:
        """Observations whose replies were read, and how many of the baseline's they have used, by topic; on rank 0."""
        assert self._evidence is not None
        return self._evidence.look, dict(self.pool.used)

    def _choose(
        self,
        screened: Collection[str],
        max_draws: int | None,
        fingerprint: tuple[float, ...],
        attempt: int,
        look: int,
    ) -> "_Chosen":
        """What is asked at this look; nothing where the baseline model is not what it was."""
        assert self._baselines is not None
        why = self._changed(fingerprint)
        counts = {} if why else within(self.wanted(screened), max_draws)
        if self._baselines.reference is not None:
            return _Chosen(draw(self._topics, counts, self._rng(attempt, look, ITEMS)), None, why, [])
        draws, theirs, ended = self.pool.take(counts)
        if ended and why is None:
            why = f"the baseline's replies for {', '.join(ended)} are used up; their evidence is frozen"
        return _Chosen(draws, theirs, why, ended)

    def _conclude(
        self,
        look: int,
        put: Put,
        chosen: "_Chosen",
        screened: Collection[str],
        rng: np.random.Generator,
        wait: float,
    ) -> Confirmed:
        """Has the replies read, and moves the evidence on."""
        assert self._baselines is not None
        read, missed = self._read(look, put, wait)
        assert self._evidence is not None
        recent = self._evidence.recent
        self._judge_screen()
        return Confirmed(
            evidence=tuple(summary(self._evidence, rng, screened=screened, ended=chosen.ended, why=chosen.why)),
            stances=tuple(topic_stances(label_shares(count(recent, "now")), rng)),
            drifts=tuple(recent_drift(self._evidence, rng, against=self._baselines.alerting)),
            draws=len(chosen.draws),
            pairs=tuple(pair for put, heard in read for pair in reply_pairs(put, heard)),
            why=chosen.why,
            replies_left=None if self._supply is None else self.pool.left,
            drawn_ahead=() if self._supply is None else self._supply.fresh(),
            missed=tuple(missed),
            styles=style_pairs(read),
            disagreement=disagreement([one for _, heard in read for one in (*heard.now, *heard.baseline)]),
            abstained=abstained([heard for _, heard in read]),
        )

    def _read(self, look: int, put: Put, wait: float) -> tuple[list[tuple[Put, Heard]], list[str]]:
        """Have replies read, and move the evidence on by every look that has been; and what was not read, and why."""
        assert self._interviewer is not None
        assert self._evidence is not None
        now, before = (self._interviewer.as_asked(put.draws, replies) for replies in (put.now, put.baseline))
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

    def _judge_screen(self) -> None:
        """Whether the screen says what the baseline's replies say, by all that were heard so far."""
        assert self._baselines is not None
        self.validity = validity_by_probe(self._baselines.stances(self._baselines.alerting), self._heard)

    def _changed(self, fingerprint: tuple[float, ...]) -> str | None:
        """A sentence if the baseline model is not what it was when the run began."""
        assert self._baselines is not None
        if self._baselines.reference is None:
            return None
        if same_model(self._fingerprint, fingerprint):
            return None
        return "the baseline model is not what it was when the run began, so the evidence is frozen"

    def _supply_of(self, evidence: Evidence, tell_apart: Fingerprint) -> Supply:
        return Supply(
            self.settings, self._topics, evidence.settings, ask=self._ask, rng=self._rng, tell_apart=tell_apart
        )

    def _ask(self, model: Any, draws: Sequence[Draw], key: tuple[int, ...]) -> list[Reply]:
        assert self._interviewer is not None
        return self._interviewer.ask(model, draws, np.random.SeedSequence([self.seed, *key]))

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, *key]))
