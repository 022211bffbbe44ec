"""Replies: how a run draws and reads them beside the screen, from its preparation to what a resume needs.

What is drawn and what it shows is in `confirm.py`. Here is its place in a run: who writes, whether the baseline model
still is what it was, how much a look may draw, and what becomes of a look whose replies cannot be had. A run that draws
none has one of these as well, and every answer is empty.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftwatch.drift.floor import Floor
from driftwatch.drift.validity import Validity
from driftwatch.errors import SETTINGS, ProbeError
from driftwatch.host.adapters import Reference, find_reference
from driftwatch.host.ranks import is_known_to_all, rank, speaks
from driftwatch.record.record import Failure, RunInfo
from driftwatch.replies.confirmation import MIN_DRAWS, Confirmation
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.vllm import Engine, counted_apart
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.budget import Workload
from driftwatch.watch.confirm import END_WAIT, KIND, Confirm, Saved
from driftwatch.watch.instrument import Asking
from driftwatch.watch.late_start import TRIES
from driftwatch.watch.observation import Observation

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Late:
    """What `begin` was given, for the times that it is tried again."""

    confirm: Confirm
    info: RunInfo
    alpha: float
    tolerance: Mapping[str, float]
    planned_looks: int | None
    folder: Path
    tries: int = 1


class Replies:
    """Those of one monitor.

    Args:
        settings: How replies are drawn and read; `None` draws none.
        asking: The screen, which says whether a model still is the baseline's.

    Attributes:
        refused: Why none are drawn in this run though the settings ask for them; `None` where nothing is in the way.
    """

    def __init__(self, settings: Confirmation | None, asking: Asking) -> None:
        self._asking = asking
        self._configured = None if settings is None else Confirm(settings, asking.pack.topics)
        self._confirm = self._configured  # `None` where none are drawn, or not any more
        self._late: _Late | None = None
        self._engine: Engine | None = None
        self.refused: str | None = None  # why none are drawn although they were asked for, a clause
        self._told: set[str] = set()
        self._keep = settings is not None and settings.keep_replies

    def prepare(
        self, model: Any, tokenizer: Any, *, engine: Engine | str | None, kept: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Settle who writes, and how; returns what two measurements must share. Inside the guard, on every rank.

        Where no reply of the model can be trusted they are refused for this run, which goes on with the screen.

        Args:
            model: The model in training.
            tokenizer: Its tokenizer or processor.
            engine: What `find_engine` says of the trainer.
            kept: The identity of a run that goes on; `None` for a new one.

        Raises:
            BaselineError: Who wrote the replies of the run that goes on is gone.
        """
        self._confirm, self._late, self.refused = self._configured, None, None
        self._engine = engine if isinstance(engine, Engine) else None
        if self._confirm is None:
            return {}
        tell_apart = self._asking.fingerprint
        try:
            self._confirm.prepare(model, tokenizer, engine=engine, fingerprint=tell_apart, kept=kept)
            return self._confirm.identity()
        except SETTINGS:
            raise
        except ProbeError as err:  # the same on every rank
            self.refuse(str(err).rstrip("."))
            return {}
        except Exception as err:
            if not is_known_to_all(err) or kept is not None:  # a run that goes on is not begun without what it had
                raise
            self.refuse(f"they could not be prepared: {type(err).__name__}: {err}", err)
            return {}

    @property
    def are_drawn(self) -> bool:
        """Whether replies are drawn: as the settings say, unless they had to be refused."""
        return self._confirm is not None

    @property
    def are_kept(self) -> bool:
        """Whether the replies themselves are kept."""
        return self._keep and self.are_drawn

    def refuse(self, why: str, err: Exception | None = None) -> None:
        """Draw none in this run from now on; the screen goes on."""
        self._confirm, self.refused = None, why
        logger.warning("no replies are drawn in this run: %s", why, exc_info=err)

    def draw_with(self, seed: int) -> None:
        """Settle the seed of everything that is drawn, before `begin` or `resume`; the same on every rank."""
        if self._configured is not None:
            self._configured.seed = seed

    def within_reach(self, baselines: Baselines) -> Baselines:
        """The baselines of a new run as whoever writes the replies reaches them."""
        if self.refused is not None:
            return replace(baselines, notes=(*baselines.notes, f"replies refused: {self.refused}; the screen goes on"))
        return baselines if self._confirm is None else self._confirm.within_reach(baselines)

    def begin(
        self,
        model: Any,
        baselines: Baselines,
        info: RunInfo,
        *,
        alpha: float,
        tolerance: Mapping[str, float],
        planned_looks: int | None,
        folder: Path,
    ) -> None:
        """Fix what will be tested, and decode the baseline's replies where they cannot be had later; inside the guard.

        To be called where replies are drawn. Where that fails, the run goes on without: where switching adapters
        reaches the baseline model, it is tried again at the next observations; elsewhere the baseline is gone with the
        first update, and `refused` says why.

        Args:
            model: At the start of training.
            baselines: What is compared with.
            info: The run.
            alpha: Probability of any false alert in the run.
            tolerance: By topic, the drift beyond which an alert is "material".
            planned_looks: After the first one; `None` if unknown.
            folder: Of the run.

        Raises:
            ConfigError: The start weights shall be kept and cannot be.
        """
        assert self._confirm is not None
        late = _Late(self._confirm, info, alpha, tolerance, planned_looks, folder)
        try:
            self._begin(model, baselines, late)
        except SETTINGS:
            raise
        except Exception as err:
            if not is_known_to_all(err):
                raise
            cause = f"{type(err).__name__}: {err}"
            if baselines.reference is None:
                self.refuse(f"the baseline's could not be had before training: {cause}", err)
                return
            self._confirm, self._late = None, late
            logger.warning("replies could not be begun and are tried again at the next observation: %s", cause)

    def _begin(self, model: Any, baselines: Baselines, late: "_Late") -> None:
        late.confirm.begin(
            model,
            baselines,
            resolved=[topic.id for topic in self._asking.pack if topic.id not in late.info.unresolved],
            alpha=late.alpha,
            tolerance=late.tolerance,
            planned_looks=late.planned_looks,
            fingerprint=self._fingerprint(model, baselines),
            folder=late.folder,
            tell_apart=self._asking.fingerprint,
        )

    def _begin_late(self, model: Any, baselines: Baselines) -> None:
        """Try once more what failed at the start."""
        late = self._late
        assert late is not None
        late.tries += 1
        try:
            self._begin(model, baselines, late)
        except Exception as err:
            if late.tries >= TRIES:
                self._late = None
                self.refuse(f"they could not be begun in {TRIES} tries: {type(err).__name__}: {err}", err)
            raise
        self._confirm, self._late = late.confirm, None

    def resume(
        self, model: Any, baselines: Baselines, left: tuple[Saved, list[BaselineReply]], step: int, *, folder: Path
    ) -> tuple[Baselines, str | None]:
        """Go on from what the run left; inside the guard, on every rank, where replies are drawn.

        Args:
            model: The model in training.
            baselines: What is compared with.
            left: The evidence, and the baseline's replies that were decoded ahead.
            step: Optimizer steps of the checkpoint.
            folder: Of the run.

        Returns:
            The baselines, with the baseline model where switching adapters reaches it, and what a reader should know
            about that model; `None` where it is what it was.
        """
        assert self._confirm is not None
        saved, pool = left
        found = find_reference(model) if saved.fingerprint else None
        if isinstance(found, Reference):
            baselines = replace(baselines, reference=found)
        note = self._confirm.resume(
            baselines,
            saved,
            pool,
            self._fingerprint(model, baselines),
            step,
            folder=folder,
            tell_apart=self._asking.fingerprint,
        )
        return baselines, note

    def hear(
        self,
        model: Any,
        observation: Observation,
        baselines: Baselines,
        *,
        attempt: int,
        screened: Sequence[str],
        max_draws: int | None,
        is_last: bool,
        rng: np.random.Generator,
    ) -> Counter[str]:
        """Draw and read those of one look; where that fails, the look goes on with what the screen found.

        Args:
            model: In training, inside the guard.
            observation: The look; takes what was heard, or why nothing was.
            baselines: What is compared with.
            attempt: Of the run.
            screened: Topics whose screen moved by enough to be watched.
            max_draws: What the budget allows; `None` for no limit.
            is_last: Whether training is over, so that a remote judge is waited for.
            rng: For intervals.

        Returns:
            Failures by kind.
        """
        failures: Counter[str] = Counter()
        if self._confirm is None and self._late is None:
            if self.refused is not None:
                observation.notes.append(f"no replies are drawn in this run: {self.refused}")
            return failures
        try:
            if self._late is not None:
                with observation.stage("baseline"):
                    self._begin_late(model, baselines)
            assert self._confirm is not None
            with counted_apart(self._engine, observation.seconds), observation.stage("replies"):
                observation.confirmed = self._confirm.observe(
                    model,
                    attempt=attempt,
                    look=observation.look,
                    step=observation.step,
                    screened=screened,
                    max_draws=max_draws,
                    fingerprint=self._fingerprint(model, baselines),
                    rng=rng,
                    wait=END_WAIT if is_last else 0.0,
                )
            for why in observation.confirmed.missed:
                failures[f"{KIND}/JudgeError"] += 1
                observation.failures.append(Failure(KIND, why))
                if rank() == 0:
                    logger.warning("%s", why)
        except Exception as err:
            # A model's forward and a judge of one's own may raise anything; what failed on one rank alone costs all of
            # them the observation.
            if not is_known_to_all(err):
                raise
            failures[f"{KIND}/{type(err).__name__}"] += 1
            observation.failures.append(Failure(KIND, f"{type(err).__name__}: {err}"))
            self._tell(observation.step, err)
        return failures

    def _tell(self, step: int, err: Exception) -> None:
        """Once a cause, and with where it came from; the rest is in the counter and the records."""
        cause = f"{type(err).__name__}: {err}"
        if cause not in self._told and speaks(err):
            self._told.add(cause)
            logger.warning(
                "replies at step %d could not be had, the observation goes on: %s", step, cause, exc_info=err
            )

    def snapshot(self) -> object:
        """What an observation changes, for `restore`."""
        return None if self._confirm is None else self._confirm.snapshot()

    def restore(self, before: Any) -> None:
        """Take back what an observation that was abandoned has changed."""
        if self._confirm is not None and before is not None:
            self._confirm.restore(before)

    def workload(self, screened: Sequence[str]) -> Workload:
        """A look without a limit, of the screen and of what it would draw."""
        blocks = self._asking.num_blocks
        if self._confirm is None:
            return Workload(blocks)
        wanted = self._confirm.wanted(screened)
        return Workload(blocks, sum(wanted.values()), min(len(wanted) * MIN_DRAWS, sum(wanted.values())))

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads those of some look; known on rank 0."""
        return self._confirm is not None and self._confirm.has_waiting

    @property
    def pool(self) -> Sequence[BaselineReply]:
        """The baseline's, where they were decoded before training."""
        return () if self._confirm is None else tuple(self._confirm.pool)

    def validity(self, baselines: Baselines) -> Sequence[Validity]:
        """Whether each probe of the screen says what they say; where none are drawn, by those of the baseline."""
        return baselines.validity if self._confirm is None else self._confirm.validity

    @property
    def noise(self) -> Floor | None:
        """What the judge differs from itself by; `None` where that was not measured."""
        return None if self._confirm is None else self._confirm.noise

    @property
    def saved(self) -> Saved | None:
        """What a resumed run needs; `None` in a run without replies."""
        return None if self._confirm is None else self._confirm.saved()

    def release(self) -> None:
        """Let go of whoever writes: an engine leads to the trainer. The next training prepares anew."""
        self._engine = None
        if self._confirm is not None:
            self._confirm.release()

    def _fingerprint(self, model: Any, baselines: Baselines) -> tuple[float, ...]:
        """Of the baseline model, where switching adapters reaches it."""
        if baselines.reference is None:
            return ()
        with baselines.reference.active(model) as referred:
            return self._asking.fingerprint(referred)
