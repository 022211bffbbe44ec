"""Replies: the stage of a run that draws replies and catches their failures, and the stage of a run that draws none.

`DrawnReplies` draws and judges. `NoReplies` stands in where none are drawn, and all its answers are empty. If drawing
could not begin, and switching adapters still reaches the baseline model, `LateReplies` tries again. Each observation
says which stage the run goes on with.
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
        attempt: The run's attempt number.
        number: The observation's number.
        step: Optimizer steps done.
        screened: Topics whose screen has moved enough to be watched.
        max_draws: Largest number of draws that the budget allows; `None` for no limit.
        is_last: Whether training is over, so that the run waits for a remote judge.
        rng: Random numbers for the intervals.
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
        stage: The stage that the run goes on with.
        confirmed: What the replies say; `None` if none were drawn or judged.
        failures: Parts that could not be done.
        kinds: Number of these failures, by kind.
        notes: Sentences for the reader of the record.
    """

    stage: "Stage"
    confirmed: Confirmed | None = None
    failures: tuple[Failure, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Stage(Protocol):
    """The stage of one run that draws replies and has them judged."""

    @property
    def refused(self) -> str | None:
        """Why no replies are drawn although they were asked for; `None` otherwise."""
        ...

    @property
    def are_kept(self) -> bool:
        """Whether the replies themselves are kept."""
        ...

    @property
    def has_waiting(self) -> bool:
        """Whether a judge still reads the replies of some observation; known on rank 0."""
        ...

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """The baseline's replies that were decoded before training; empty if there are none."""
        ...

    @property
    def validity(self) -> Sequence[Validity]:
        """Whether each probe of the screen agrees with the replies."""
        ...

    @property
    def noise(self) -> Floor | None:
        """How far the judge disagrees with itself; `None` if that was not measured."""
        ...

    def wanted(self, screened: Sequence[str]) -> dict[str, int]:
        """Draws per topic that the next observation should make."""
        ...

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Draw the replies of one observation and have them judged; inside the guard, on every rank."""
        ...

    def saved(self) -> Saved | None:
        """What a resumed run needs; `None` if it needs nothing."""
        ...

    def snapshot(self) -> Any:
        """The state that an observation may change, for `restore`."""
        ...

    def restore(self, before: Any) -> None:
        """Undo the changes of an observation that was abandoned."""
        ...

    def handed_over(self) -> None:
        """Note that an observation's findings are on their way to the run's files."""
        ...

    def release(self) -> None:
        """Let go of the engine and of the judge's thread."""
        ...


class NoReplies:
    """The stage of a run that draws no replies.

    Args:
        why: Why no replies are drawn although they were asked for; `None` if nobody asked.
        validity: Whether each probe of the screen agrees with the baseline's replies from before the run.
    """

    are_kept, has_waiting = False, False
    decoded: Sequence[BaselineReply] = ()
    noise: Floor | None = None

    def __init__(self, why: str | None, validity: Sequence[Validity] = ()) -> None:
        self.refused, self.validity = why, tuple(validity)

    def identity(self) -> dict[str, str]:
        """Empty: without replies, two measurements need share nothing about them."""
        return {}

    def within_reach(self, baselines: Baselines) -> Baselines:
        """The baselines, with a note for the reader of the run."""
        if self.refused is None:
            return baselines
        return replace(baselines, notes=(*baselines.notes, f"replies refused: {self.refused}; the screen goes on"))

    def wanted(self, screened: Sequence[str]) -> dict[str, int]:
        """Empty: no draws are wanted."""
        return {}

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Found nothing; a note says why if replies were asked for."""
        return Heard(self, notes=refusal_note(self.refused))

    def saved(self) -> Saved | None:
        """`None`: a resumed run needs nothing."""
        return None

    def snapshot(self) -> None:
        """Does nothing, since an observation changes nothing here."""

    def restore(self, before: Any) -> None:
        """Does nothing, since nothing has changed."""

    def handed_over(self) -> None:
        """Does nothing, since there are no findings."""

    def release(self) -> None:
        """Does nothing, since nothing is held."""


class DrawnReplies:
    """The stage of a run that draws replies and has them judged.

    Args:
        confirm: The confirming stage itself, which raises on failures.
        engine: The engine that writes the replies; `None` if this process samples them.
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
        """Whether a judge still reads the replies of some observation; known on rank 0."""
        return self._confirm.has_waiting

    @property
    def decoded(self) -> Sequence[BaselineReply]:
        """The baseline's replies that were decoded before training; empty if there are none."""
        return self._confirm.supply.decoded

    @property
    def validity(self) -> Sequence[Validity]:
        """Whether each probe of the screen agrees with the replies."""
        return self._confirm.validity

    @property
    def noise(self) -> Floor | None:
        """How far the judge disagrees with itself; `None` if that was not measured."""
        return self._confirm.noise

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Draw the replies of one observation and have them judged; if that fails, the screen's findings remain."""
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
            # A model's forward or a user's own judge may raise anything. An error that only one rank knows makes all
            # ranks abandon the observation.
            if not is_known_to_all(err):
                raise
            return failed(self, asked.step, err, self._told)
        for why in found.missed:
            if rank() == 0:
                logger.warning("%s", why)
        failures = tuple(Failure(KIND, why) for why in found.missed)
        return Heard(self, found, failures, Counter({f"{KIND}/JudgeError": len(failures)} if failures else {}))

    def release(self) -> None:
        """Let go of the engine, which refers to the trainer, and of the judge; the next training prepares them anew."""
        self._engine = None
        self._confirm.release()


class LateReplies(NoReplies):
    """The stage of a run whose drawing could not begin at the start; each observation tries again to begin it.

    Args:
        begin: Makes the stage that draws; called inside the guard.
        validity: As in `NoReplies`.
    """

    def __init__(self, begin: Callable[[Any], "DrawnReplies"], validity: Sequence[Validity]) -> None:
        super().__init__(None, validity)
        self._begin = begin
        self._told: set[str] = set()
        self._tries = 1

    def observe(self, model: Any, asked: Asked, watch: Stopwatch) -> Heard:
        """Try to begin once more; if that works, draw at once, and the run goes on with that stage."""
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
    """What is left after a failure: the observation goes on, and each cause is logged once, with its traceback."""
    cause = f"{type(err).__name__}: {err}"
    if cause not in told and speaks(err):
        told.add(cause)
        logger.warning("replies at step %d could not be had, the observation goes on: %s", step, cause, exc_info=err)
    return Heard(stage, failures=(Failure(KIND, cause),), kinds=Counter({f"{KIND}/{type(err).__name__}": 1}))


def refusing(why: str, validity: Sequence[Validity] = (), err: Exception | None = None) -> NoReplies:
    """The stage after replies are given up for the rest of the run, with a warning; the screen goes on."""
    logger.warning("no replies are drawn in this run: %s", why, exc_info=err)
    return NoReplies(why, validity)


def refusal_note(why: str | None) -> tuple[str, ...]:
    """The note for the reader of a record that says why no replies are drawn; empty if none were asked for."""
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
    """Settle whether and how replies are drawn, and who writes them. Inside the guard, on every rank.

    If no reply of the model can be trusted, replies are refused for this run, which goes on with the screen.

    Args:
        setup: What the settings name for replies; `None` draws none.
        model: The model in training.
        tokenizer: Its tokenizer or processor.
        tell_apart: Gives a fingerprint by which a model is recognised later.
        engine: The result of `find_engine` for the trainer.
        kept: The identity of a run that goes on; `None` for a new run.

    Raises:
        BaselineError: The sampler that wrote the replies of the run that goes on is gone.
    """
    if setup is None:
        return NoReplies(None)
    try:
        return setup.prepare(model, tokenizer, engine=engine, tell_apart=tell_apart, kept=kept)
    except SETTINGS:
        raise
    except ProbeError as err:  # raised on every rank alike
        return refusing(str(err).rstrip("."))
    except Exception as err:
        if not is_known_to_all(err) or kept is not None:  # a run that had replies does not go on without them
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

    If drawing cannot begin, the run goes on without replies. Where switching adapters reaches the baseline model, the
    next observations try again. Elsewhere the baseline is gone with the first update, and `refused` says why.

    Raises:
        ConfigError: The settings ask to keep the start weights, and they cannot be kept.
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
