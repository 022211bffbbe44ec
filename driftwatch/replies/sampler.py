"""Sampler: settles before the first reply whether this process or the trainer's engine writes a run's replies.

Both replies of a draw must come from the same sampler, or the different rounding of two samplers would look like drift.
An engine cannot be asked for the baseline model on demand, since trainers push the model in training into it. If an
engine writes, it therefore writes the baseline's replies before training, and the run must start from the baseline
model.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from driftwatch.errors import Absent, BaselineError, ProbeError
from driftwatch.host.adapters import Reference, find_reference
from driftwatch.host.identity import same_model
from driftwatch.replies.draws import IN_PROCESS, Interviewer
from driftwatch.replies.vllm import Engine

logger = logging.getLogger(__name__)

Fingerprint = Callable[[Any], tuple[float, ...]]


def settle(
    interviewer: Interviewer,
    model: Any,
    offered: Engine | Absent | None,
    *,
    fingerprint: Fingerprint,
    began_with: str | None,
) -> tuple[str, ...]:
    """Give an interviewer its sampler; on every rank, inside the guard.

    Args:
        interviewer: Asks the model; its `engine` is set here.
        model: The model in training.
        offered: The trainer's engine, or the reason why it cannot be asked; `None` if there is no engine.
        fingerprint: Tells two models apart.
        began_with: Name of the sampler with which a run that goes on began; `None` for a new run.

    Returns:
        Sentences for the reader of the run.

    Raises:
        BaselineError: The sampler that a run began with is gone.
    """
    notes: list[str] = []
    if began_with is not None:
        interviewer.engine = _as_before(began_with, offered)
    else:
        interviewer.engine, notes = _chosen(interviewer, model, offered, fingerprint)
    if interviewer.engine is not None:
        logger.info("replies are written by %s, the trainer's own", interviewer.engine.name)
    for note in notes:
        logger.warning("%s", note)
    return tuple(notes)


def _as_before(began: str, offered: Engine | Absent | None) -> Engine | None:
    """The engine of a run that goes on; `None` for this process."""
    if began == IN_PROCESS:
        return None
    if isinstance(offered, Engine) and offered.name == began:
        return offered
    now = offered.name if isinstance(offered, Engine) else IN_PROCESS
    raise BaselineError(
        f"this run's replies were written by {began}, and now they would be by {now}"
        f"{f' ({offered.why})' if isinstance(offered, Absent) else ''}: what two samplers round differently would pass "
        "for drift. Give it that engine again (DriftCallback.use_engine), or begin a run of another name."
    )


def _chosen(
    interviewer: Interviewer, model: Any, offered: Engine | Absent | None, fingerprint: Fingerprint
) -> tuple[Engine | None, list[str]]:
    """The engine of a new run, `None` for this process, and sentences on why it is not the one offered."""
    if offered is None:
        return None, []
    found = offered if isinstance(offered, Absent) else _unfit(interviewer, model, offered, fingerprint)
    if found is not None:
        return None, [f"replies are sampled in-process, not by the trainer's vLLM: {found.why}"]
    return (offered, []) if isinstance(offered, Engine) else (None, [])


def _unfit(interviewer: Interviewer, model: Any, engine: Engine, fingerprint: Fingerprint) -> Absent | None:
    """Why an engine cannot write the replies of a new run; `None` if it can."""
    found = find_reference(model)
    # Base weights are a baseline only if they are the start of the run; a frozen adapter is one in any case.
    if isinstance(found, Reference) and found.adapter is not None:
        with found.active(model) as referred:
            theirs = fingerprint(referred)
        if not same_model(fingerprint(model), theirs):
            return Absent(f"the run does not start from {found.description}, and an engine holds the start only")
    interviewer.engine = engine
    try:
        interviewer.ask(model, [interviewer.longest], np.random.SeedSequence(0))
    except ProbeError as err:
        return Absent(f"it could not answer a first question ({err})")
    finally:
        interviewer.engine = None
    return None
