"""Preparing: makes the confirming stage of one run from its settings.

`ReplySetup` holds what the settings name: a judge, and the items that have two sides. Its `prepare` encodes the
questions for one model and proves that the replies are the model's own; `begin` and `resume` of the result make the
`Confirm` of a run.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from driftwatch.chat.fitting import check_fits
from driftwatch.chat.format import ChatFormat
from driftwatch.errors import Absent, ConfigError
from driftwatch.evidence.ledger import from_json
from driftwatch.evidence.state import Evidence, Settings, begin, rolled_back
from driftwatch.host.adapters import Reference, find_reference
from driftwatch.host.identity import recognise
from driftwatch.judges.by_name import judge_by_name
from driftwatch.judges.judge import Judge
from driftwatch.replies.ahead import DecodedAhead
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.draws import IN_PROCESS, Interviewer, Seeded
from driftwatch.replies.hearing import Hearing
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.sampler import Fingerprint, settle
from driftwatch.replies.supply import AskedOnDemand
from driftwatch.replies.vllm import Engine
from driftwatch.topics.topic import Topic
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.confirm import KIND, Confirm, Saved, screen_validity

logger = logging.getLogger(__name__)


class ReplySetup:
    """The judge and the topics that the settings name.

    Args:
        settings: How replies are drawn and judged.
        topics: The bank.

    Raises:
        ConfigError: No item has two sides.
        JudgeError, PluginError: The judge cannot be made.
    """

    def __init__(self, settings: Confirmation, topics: Sequence[Topic]) -> None:
        self.settings = settings
        self.topics = [topic for topic in topics if any(item.sides for item in topic.items)]
        if not self.topics:
            raise ConfigError(
                "replies are drawn to items with two sides, and the pack has none; add sides to its items, or leave it "
                "at the screen (confirm=None)."
            )
        judge = settings.judge
        self.judge: Judge = judge_by_name(judge) if isinstance(judge, str) else judge

    def prepare(
        self,
        model: Any,
        tokenizer: Any,
        *,
        engine: Engine | Absent | None,
        tell_apart: Fingerprint,
        kept: Mapping[str, str] | None,
    ) -> "PreparedReplies":
        """Encode for this tokenizer, settle who writes the replies, and prove that they are the model's own.

        Args:
            model: The model in training, inside the guard.
            tokenizer: Its tokenizer or processor.
            engine: The result of `find_engine` for the trainer.
            tell_apart: Gives a fingerprint by which a model is recognised later.
            kept: The identity of a run that goes on; `None` for a new run.

        Raises:
            BaselineError: The sampler that wrote the replies of the run that goes on is gone.
            ProbeError: Replies that are sampled in this process cannot be trusted; raised on every rank.
        """
        chat, decoding = ChatFormat(tokenizer, self.settings.wrap), self.settings.decoding
        interviewer = Interviewer(self.topics, chat, decoding, chat.stop_ids)
        check_fits(model, chat, interviewer.prompts, new_tokens=decoding.max_new_tokens)
        began = None if kept is None else kept.get(f"{KIND}/sampler", IN_PROCESS)
        notes = (*chat.notes, *settle(interviewer, model, engine, fingerprint=tell_apart, began_with=began))
        if interviewer.engine is None:
            proved = interviewer.prove(model)
            logger.info("%s", proved.sentence)
            if proved.note is not None:
                logger.warning("%s", proved.note)
                notes = (*notes, proved.note)
        return PreparedReplies(self, interviewer, notes, tell_apart)


class PreparedReplies:
    """What asks one model for replies, before there is a run.

    Args:
        setup: The judge and the topics that the settings name.
        interviewer: Asks the model.
        notes: Sentences on how replies are asked for, and by whom.
        tell_apart: Gives a fingerprint by which a model is recognised later.
    """

    def __init__(
        self, setup: ReplySetup, interviewer: Interviewer, notes: Sequence[str], tell_apart: Fingerprint
    ) -> None:
        self._setup, self._interviewer = setup, interviewer
        self._notes, self._tell_apart = tuple(notes), tell_apart

    @property
    def engine(self) -> Engine | None:
        """The engine that writes the replies; `None` if this process samples them."""
        return self._interviewer.engine

    @property
    def topics(self) -> Sequence[Topic]:
        """The topics on which replies can be drawn."""
        return self._setup.topics

    def identity(self) -> dict[str, str]:
        """What two measurements must share to be comparable."""
        identity = {"judge": self._setup.judge.id, **self._interviewer.identity()}
        return {f"{KIND}/{part}": value for part, value in identity.items()}

    def within_reach(self, baselines: Baselines) -> Baselines:
        """A new run's baselines, without the reference model if an engine writes: an engine cannot switch adapters."""
        reference = None if self.engine is not None else baselines.reference
        return replace(baselines, reference=reference, notes=tuple(dict.fromkeys((*baselines.notes, *self._notes))))

    def begin(
        self,
        model: Any,
        baselines: Baselines,
        *,
        seed: int,
        resolved: Collection[str],
        alpha: float,
        tolerance: Mapping[str, float],
        planned_looks: int | None,
        folder: Path,
    ) -> Confirm:
        """Fix the hypotheses that share alpha, and decode the baseline's replies if they cannot be drawn later.

        Args:
            model: The model at the start of training, inside the guard.
            baselines: The baselines that observations are compared with.
            seed: Seed of everything that is drawn; the same on every rank.
            resolved: Topics on which the model has resolution; the others are left out for the whole run.
            alpha: Probability of any false alert in the run.
            tolerance: By topic, the drift beyond which an alert is "beyond_tolerance".
            planned_looks: Number of observations after the first one; `None` if unknown.
            folder: The run's folder, where start weights may be kept.

        Raises:
            ConfigError: The settings ask to keep the start weights, and they cannot be kept.
        """
        topics = self._setup.topics
        values = tuple(t.id for t in topics if not t.control and t.id in resolved)
        controls = tuple(t.id for t in topics if t.control)
        own = {name: tolerance[name] for name in (*values, *controls)}
        evidence = begin(Settings(values, controls, planned_looks=planned_looks or None, alpha=alpha, tolerance=own))
        if (reference := baselines.reference) is not None:
            known_as = self._on_demand(reference, seed, ()).fingerprint(model)
            return self._stage(baselines, evidence, self._on_demand(reference, seed, known_as), seed, anchor=known_as)
        ahead = self._ahead(evidence, seed)
        ahead.begin(model, folder, is_written_elsewhere=self.engine is not None)
        return self._stage(baselines, evidence, ahead, seed)

    def resume(
        self,
        model: Any,
        baselines: Baselines,
        saved: Saved,
        pool: Sequence[BaselineReply],
        *,
        seed: int,
        step: int,
        folder: Path,
    ) -> tuple[Confirm, str | None]:
        """Go on from the latest evidence, whatever the checkpoint: to undo observations would spend alpha again.

        Args:
            model: The model in training, inside the guard.
            baselines: The baselines that observations are compared with.
            saved: The evidence that the run left.
            pool: The baseline's replies that were decoded before training.
            seed: Seed of everything that is drawn; the same on every rank.
            step: Step of the checkpoint; draws from later weights say nothing about the weights that go on.
            folder: The run's folder, which may hold the start weights.

        Returns:
            The stage, and a sentence that a reader should know about the baseline model. The sentence is `None` if the
            model is the same up to the rounding of other hardware; it then counts as it is now.
        """
        evidence = rolled_back(from_json(saved.evidence), step)
        found = find_reference(model) if saved.fingerprint else None
        if isinstance(found, Reference):
            baselines = replace(baselines, reference=found)
            now = self._on_demand(found, seed, ()).fingerprint(model)
            known = recognise(saved.fingerprint, now, baselines.moved)
            on_demand = self._on_demand(found, seed, now if known.is_same else saved.fingerprint)
            return self._stage(baselines, evidence, on_demand, seed, saved.fingerprint, saved), known.note
        ahead = self._ahead(evidence, seed)
        ahead.resume(pool, saved.used, start_print=saved.start_print, folder=folder)
        gone = recognise(saved.fingerprint, (), baselines.moved)
        return self._stage(baselines, evidence, ahead, seed, saved.fingerprint, saved), gone.note

    def _stage(
        self,
        baselines: Baselines,
        evidence: Evidence,
        supply: AskedOnDemand | DecodedAhead,
        seed: int,
        anchor: tuple[float, ...] = (),
        saved: Saved | None = None,
    ) -> Confirm:
        return Confirm(
            settings=self._setup.settings,
            seeded=Seeded(self._interviewer, seed),
            hearing=Hearing(self._setup.judge),
            baselines=baselines,
            evidence=evidence,
            supply=supply,
            anchor=anchor,
            heard=baselines.heard if saved is None else saved.heard,
            validity=baselines.validity if saved is None else screen_validity(baselines, saved.heard),
            noise=None if saved is None else saved.noise,
        )

    def _on_demand(self, reference: Reference, seed: int, known_as: tuple[float, ...]) -> AskedOnDemand:
        seeded = Seeded(self._interviewer, seed)
        return AskedOnDemand(
            reference,
            self._setup.topics,
            ask=seeded.ask,
            rng=seeded.rng,
            tell_apart=self._tell_apart,
            known_as=known_as,
        )

    def _ahead(self, evidence: Evidence, seed: int) -> DecodedAhead:
        seeded = Seeded(self._interviewer, seed)
        return DecodedAhead(
            self._setup.settings,
            self._setup.topics,
            evidence.settings,
            ask=seeded.ask,
            rng=seeded.rng,
            tell_apart=self._tell_apart,
        )
