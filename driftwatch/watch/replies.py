"""The replies of a run: the stage that draws them, with what may go wrong in it caught, and its null.

A run that draws none has `NoReplies`, and every answer of it is empty. Where replies could not be begun, and switching
adapters still reaches the baseline model, `LateReplies` tries again. Each observation says which stage goes on.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from driftwatch.drift.floor import Floor
from driftwatch.drift.validity import Validity
from driftwatch.errors import SETTINGS, Absent, ProbeError
from driftwatch.host.ranks import is_known_to_all, rank, speaks
from driftwatch.record.record import Failure
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.sampler import Fingerprint
from driftwatch.replies.vllm import Engine, counted_apart
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.confirm import END_WAIT, KIND, Confirm, Confirmed, Saved
from driftwatch.watch.late_start import TRIES
from driftwatch.watch.preparing import PreparedReplies, ReplySetup
from driftwatch.watch.stopwatch import Stopwatch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one observation asks of a stage.

    Attributes:
        attempt: Of the run.
        number: Of the observation.
        step: Optimizer steps done.
        screened: Topics whose screen moved by enough to be watched.
        max_draws: What the budget allows; `None` for no limit.
        is_last: Whether training is over, so that a remote judge is waited for.
        rng: For intervals.
    """

    attempt: int
    number: int
    step: int
    screened: Sequence[str]
    max_draws: int | None
    is_last: bool
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class Heard:
    """What one observation found in replies.

    Attributes:
        stage: The one that goes on.
        confirmed: What they say; `None` where none were drawn or read.
        failures: Parts that could not be done.
        kinds: The same, counted by kind.
        notes: For the reader of the record.
    """

    stage: "Stage"
    confirmed: Confirmed | None = None
    failures: tuple[Failure, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Stage(Protocol):
    """The replies of one run."""

    @property
    def refused(self) -> str | None:
        """Why none are drawn although they were asked for; `None` where nothing is in the way."""
        ...

    @property
    def are_kept(self) -> bool:
        """Whether the replies themselves are kept."""
        ...

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads those of some observation; known on rank 0."""
        ...

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """The baseline's, where they were decoded before training."""
        ...

    @property
    def validity(self) -> Sequence[Validity]:
        """Whether each probe of the screen says what they say."""
        ...

    @property
    def noise(self) -> Floor | None:
        """What the judge differs from itself by; `None` where that was not measured."""
        ...

    def wanted(self, screened: Sequence[str]) -> dict[str, int]:
        """Draws per topic that the next observation should make."""
        ...

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Draw and have read those of one observation; inside the guard, on every rank."""
        ...

    def saved(self) -> Saved | None:
        """What a resumed run needs; `None` where there is nothing."""
        ...

    def snapshot(self) -> Any:
        """What an observation changes, for `restore`."""
        ...

    def restore(self, before: Any) -> None:
        """Take back what an observation that was abandoned has changed."""
        ...

    def handed_over(self) -> None:
        """What an observation has found is on its way to the run's files."""
        ...

    def release(self) -> None:
        """Let go of whoever writes and reads."""
        ...


class NoReplies:
    """None are drawn.

    Args:
        why: Why they are not, although they were asked for; `None` where nobody asked.
        validity: Whether the screen says what replies of the baseline from before the run say.
    """

    are_kept, has_waiting = False, False
    decoded: Sequence[BaselineReply] = ()
    noise: Floor | None = None

    def __init__(self, why: str | None, validity: Sequence[Validity] = ()) -> None:
        self.refused, self.validity = why, tuple(validity)

    def identity(self) -> dict[str, str]:
        """Nothing is shared."""
        return {}

    def within_reach(self, baselines: Baselines) -> Baselines:
        """The baselines, with a note for the reader of the run."""
        if self.refused is None:
            return baselines
        return replace(baselines, notes=(*baselines.notes, f"replies refused: {self.refused}; the screen goes on"))

    def wanted(self, screened: Sequence[str]) -> dict[str, int]:
        """Nothing."""
        return {}

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Why there are none, where they were asked for."""
        return Heard(self, notes=refusal_note(self.refused))

    def saved(self) -> Saved | None:
        """Nothing."""
        return None

    def snapshot(self) -> None:
        """Nothing changes."""

    def restore(self, before: Any) -> None:
        """Nothing has changed."""

    def handed_over(self) -> None:
        """Nothing was."""

    def release(self) -> None:
        """Nothing is held."""


class DrawnReplies:
    """They are drawn, and read.

    Args:
        confirm: The stage itself, which raises.
        engine: Who writes; `None` for this process.
        are_kept: Whether the replies themselves are kept.
    """

    refused: str | None = None

    def __init__(self, confirm: Confirm, engine: Engine | None, *, are_kept: bool) -> None:
        self._confirm, self._engine, self.are_kept = confirm, engine, are_kept
        self._told: set[str] = set()
        self.wanted, self.saved = confirm.wanted, confirm.saved
        self.snapshot, self.restore = confirm.snapshot, confirm.restore
        self.handed_over = confirm.supply.handed_over

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads those of some observation; known on rank 0."""
        return self._confirm.has_waiting

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """The baseline's, where they were decoded before training."""
        return self._confirm.supply.decoded

    @property
    def validity(self) -> Sequence[Validity]:
        """Whether each probe of the screen says what they say."""
        return self._confirm.validity

    @property
    def noise(self) -> Floor | None:
        """What the judge differs from itself by; `None` where that was not measured."""
        return self._confirm.noise

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Draw and have read those of one observation; where that fails, it goes on with what the screen found."""
        try:
            with counted_apart(self._engine, watch.seconds), watch("replies"):
                found = self._confirm.observe(
                    model,
                    attempt=asked.attempt,
                    look=asked.number,
                    step=asked.step,
                    screened=asked.screened,
                    max_draws=asked.max_draws,
                    rng=asked.rng,
                    wait=END_WAIT if asked.is_last else 0.0,
                )
        except Exception as err:
            # A model's forward and a judge of one's own may raise anything; what failed on one rank alone costs all of
            # them the observation.
            if not is_known_to_all(err):
                raise
            return failed(self, asked.step, err, self._told)
        for why in found.missed:
            if rank() == 0:
                logger.warning("%s", why)
        failures = tuple(Failure(KIND, why) for why in found.missed)
        return Heard(self, found, failures, Counter({f"{KIND}/JudgeError": len(failures)} if failures else {}))

    def release(self) -> None:
        """Let go of whoever writes: an engine leads to the trainer. The next training prepares anew."""
        self._engine = None
        self._confirm.release()


class LateReplies(NoReplies):
    """They could not be begun at the start, and are tried again, as long as the baseline model can be reached.

    Args:
        begin: Makes the stage; inside the guard.
        validity: As in `NoReplies`.
    """

    def __init__(self, begin: Callable[[Any], "DrawnReplies"], validity: Sequence[Validity]) -> None:
        super().__init__(None, validity)
        self._begin = begin
        self._told: set[str] = set()
        self._tries = 1

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Try once more what failed at the start, and go on with it."""
        self._tries += 1
        try:
            with watch("baseline"):
                stage = self._begin(model)
        except Exception as err:
            if not is_known_to_all(err):
                raise
            found = failed(self, asked.step, err, self._told)
            if self._tries < TRIES:
                return found
            why = f"they could not be begun in {TRIES} tries: {type(err).__name__}: {err}"
            return replace(found, stage=refusing(why, self.validity, err))
        return stage.observe(model, asked, watch)


def failed(stage: Stage, step: int, err: Exception, told: set[str]) -> Heard:
    """What a failure leaves: the observation goes on, and its cause is said once, with where it came from."""
    cause = f"{type(err).__name__}: {err}"
    if cause not in told and speaks(err):
        told.add(cause)
        logger.warning("replies at step %d could not be had, the observation goes on: %s", step, cause, exc_info=err)
    return Heard(stage, failures=(Failure(KIND, cause),), kinds=Counter({f"{KIND}/{type(err).__name__}": 1}))


def refusing(why: str, validity: Sequence[Validity] = (), err: Exception | None = None) -> NoReplies:
    """Draw none in this run from now on; the screen goes on."""
    logger.warning("no replies are drawn in this run: %s", why, exc_info=err)
    return NoReplies(why, validity)


def refusal_note(why: str | None) -> tuple[str, ...]:
    """For the reader of a record."""
    return () if why is None else (f"no replies are drawn in this run: {why}",)


def prepared(
    setup: ReplySetup | None,
    model: Any,
    tokenizer: Any,
    *,
    tell_apart: Fingerprint,
    engine: Engine | Absent | None,
    kept: Mapping[str, str] | None,
) -> PreparedReplies | NoReplies:
    """Settle whether and how replies are asked for, and by whom. Inside the guard, on every rank.

    Where no reply of the model can be trusted they are refused for this run, which goes on with the screen.

    Args:
        setup: What the settings name; `None` draws none.
        model: The model in training.
        tokenizer: Its tokenizer or processor.
        tell_apart: Measures a model so that it is known again.
        engine: What `find_engine` says of the trainer.
        kept: The identity of a run that goes on; `None` for a new one.

    Raises:
        BaselineError: Who wrote the replies of the run that goes on is gone.
    """
    if setup is None:
        return NoReplies(None)
    try:
        return setup.prepare(model, tokenizer, engine=engine, tell_apart=tell_apart, kept=kept)
    except SETTINGS:
        raise
    except ProbeError as err:  # the same on every rank
        return refusing(str(err).rstrip("."))
    except Exception as err:
        if not is_known_to_all(err) or kept is not None:  # a run that goes on is not begun without what it had
            raise
        return refusing(f"they could not be prepared: {type(err).__name__}: {err}", err=err)


def begun(
    asking: PreparedReplies | NoReplies,
    model: Any,
    baselines: Baselines,
    *,
    seed: int,
    resolved: Sequence[str],
    alpha: float,
    tolerance: Mapping[str, float],
    planned_looks: int | None,
    folder: Path,
    are_kept: bool,
) -> Stage:
    """The stage of a new run; arguments as in `PreparedReplies.begin`.

    Where it cannot be begun, the run goes on without: where switching adapters reaches the baseline model, it is tried
    again at the next observations; elsewhere the baseline is gone with the first update, and `refused` says why.

    Raises:
        ConfigError: The start weights shall be kept and cannot be.
    """
    if isinstance(asking, NoReplies):
        return NoReplies(asking.refused, baselines.validity)

    def begin(model: Any) -> DrawnReplies:
        confirm = asking.begin(
            model,
            baselines,
            seed=seed,
            resolved=resolved,
            alpha=alpha,
            tolerance=tolerance,
            planned_looks=planned_looks,
            folder=folder,
        )
        return DrawnReplies(confirm, asking.engine, are_kept=are_kept)

    try:
        return begin(model)
    except SETTINGS:
        raise
    except Exception as err:
        if not is_known_to_all(err):
            raise
        cause = f"{type(err).__name__}: {err}"
        if baselines.reference is None:
            return refusing(f"the baseline's could not be had before training: {cause}", baselines.validity, err)
        logger.warning("replies could not be begun and are tried again at the next observation: %s", cause)
        return LateReplies(begin, baselines.validity)
