"""Replies: how a run draws and reads them beside the screen, from its preparation to what a resume needs.

What is drawn and what it shows is in `confirm.py`. Here is its place in a run: who writes, whether the baseline model
still is what it was, how much a look may draw, and what becomes of a look whose replies cannot be had. A run that draws
none has one of these as well, and every answer is empty.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftwatch.asking import Asking
from driftwatch.baselines import Baselines
from driftwatch.budget import Workload
from driftwatch.confirm import END_WAIT, KIND, Confirm, Saved
from driftwatch.confirmation import MIN_DRAWS, Confirmation
from driftwatch.drift.floor import Floor
from driftwatch.drift.validity import Validity
from driftwatch.errors import JudgeError, ProbeError
from driftwatch.observation import Observation
from driftwatch.pool import BaselineReply
from driftwatch.probes.engine import Engine, counted_apart
from driftwatch.record import Failure, RunInfo
from driftwatch.reference import Reference, find_reference

logger = logging.getLogger(__name__)


class Replies:
    """Those of one monitor.

    Args:
        settings: How replies are drawn and read; `None` draws none.
        asking: The screen, which says whether a model still is the baseline's.
        seed: Of everything that is drawn.
    """

    def __init__(self, settings: Confirmation | None, asking: Asking, *, seed: int) -> None:
        self._asking = asking
        self._confirm = None if settings is None else Confirm(settings, asking.pack.topics, seed=seed)
        self._engine: Engine | None = None
        self.are_drawn = settings is not None
        self.refused: str | None = None  # why none are drawn although they were asked for, a clause
        self.are_kept = settings is not None and settings.keep_replies

    def prepare(
        self, model: Any, tokenizer: Any, *, engine: Engine | str | None, kept: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Settle who writes; returns what two measurements must share. Inside the guard.

        Args:
            model: The model in training.
            tokenizer: Its tokenizer or processor.
            engine: What `find_engine` says of the trainer.
            kept: The identity of a run that goes on; `None` for a new one.

        Raises:
            BaselineError: Who wrote the replies of the run that goes on is gone.
        """
        self._engine = engine if isinstance(engine, Engine) else None
        if self._confirm is None:
            return {}
        tell_apart = self._asking.fingerprint
        self._confirm.prepare(model, tokenizer, engine=engine, fingerprint=tell_apart, kept=kept)
        return self._confirm.identity()

    def within_reach(self, baselines: Baselines) -> Baselines:
        """The baselines of a new run as whoever writes the replies reaches them."""
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
    ) -> None:
        """Fix what will be tested, and decode the baseline's replies where they cannot be had later; inside the guard.

        To be called where replies are drawn.

        Args:
            model: At the start of training.
            baselines: What is compared with.
            info: The run.
            alpha: Probability of any false alert in the run.
            tolerance: By topic, the drift beyond which an alert is "material".
            planned_looks: After the first one; `None` if unknown.
        """
        assert self._confirm is not None
        self._confirm.begin(
            model,
            baselines,
            resolved=[topic.id for topic in self._asking.pack if topic.id not in info.unresolved],
            alpha=alpha,
            tolerance=tolerance,
            planned_looks=planned_looks,
            fingerprint=self._fingerprint(model, baselines),
        )

    def resume(
        self, model: Any, baselines: Baselines, left: tuple[Saved, list[BaselineReply]], step: int
    ) -> tuple[Baselines, str | None]:
        """Go on from what the run left; inside the guard, on every rank, where replies are drawn.

        Args:
            model: The model in training.
            baselines: What is compared with.
            left: The evidence, and the baseline's replies that were decoded before training.
            step: Optimizer steps of the checkpoint.

        Returns:
            The baselines, with the baseline model where switching adapters reaches it, and what a reader should know
            about that model; `None` where it is what it was.
        """
        assert self._confirm is not None
        saved, pool = left
        found = find_reference(model) if saved.fingerprint else None
        if isinstance(found, Reference):
            baselines = replace(baselines, reference=found)
        return baselines, self._confirm.resume(baselines, saved, pool, self._fingerprint(model, baselines), step)

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
        if self._confirm is None:
            return failures
        try:
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
                logger.warning("%s", why)
        except (ProbeError, JudgeError) as err:
            failures[f"{KIND}/{type(err).__name__}"] += 1
            observation.failures.append(Failure(KIND, f"{type(err).__name__}: {err}"))
            logger.warning("replies at step %d could not be had, the look goes on: %s", observation.step, err)
        return failures

    def workload(self, screened: Sequence[str]) -> Workload:
        """A look without a limit, of the screen and of what it would draw."""
        blocks = self._asking.num_blocks
        if self._confirm is None:
            return Workload(blocks)
        wanted = self._confirm.wanted(screened)
        return Workload(blocks, sum(wanted.values()), min(len(wanted) * MIN_DRAWS, sum(wanted.values())))

    @property
    def has_waiting(self) -> bool:
        """Whether a remote judge still reads those of some look."""
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
