"""The engine of the screen: log-likelihood of many continuations of many prompts, each shared token computed once.

`plan` decides once which tokens go through the model together; `score` runs that plan at every observation.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from driftwatch.errors import ProbeError
from driftwatch.scoring.batches import Batch
from driftwatch.scoring.forward import Read, Way, encode_stem, read_batch
from driftwatch.scoring.layout import Group
from driftwatch.scoring.memory import give_back, is_out_of_memory
from driftwatch.scoring.plan import Plan, plan
from driftwatch.scoring.trie import Request

__all__ = ["Plan", "Request", "Scored", "dry_look", "plan", "score"]


class Scored(NamedTuple):
    """What `score` found.

    Attributes:
        log_likelihoods: For each request, float64 of shape (continuations,): natural log of the probability of the
            whole continuation after the prompt. It is nan if the model's logits were not finite, or if the plan is one
            rank's share and the request belongs to another.
        tokens_computed: Token positions that went through the model, stems and padding included.
        num_splits: Batches that were divided because memory ran out; above 0, the composition was not the planned one.
    """

    log_likelihoods: list[NDArray[np.float64]]
    tokens_computed: int
    num_splits: int = 0


@torch.no_grad()
def dry_look(model: Any, plan: Plan) -> Plan:
    """The plan itself, or one with smaller batches, after its largest batch went through the model.

    Run it before training begins, so that lack of memory shows then, and not at the peak of a step.

    Raises:
        ProbeError: Memory is too small for even one prompt.
    """
    while True:
        group, batch = max(
            ((group, batch) for group in plan.layout.groups for batch in group.batches),
            key=lambda pair: max(plan.footprint.of(size) for size in pair[1].sizes(len(pair[0].stem))),
        )
        try:
            read_batch(model, plan.way, batch, encode_stem(model, plan.way, group.stem))
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
        else:
            return plan
        give_back()
        plan = plan.halved()


@torch.no_grad()
def score(model: Any, plan: Plan, *, split: bool = True) -> Scored:
    """Log-likelihood of every continuation of every request of a plan.

    It changes neither modes nor random state: call it inside the guard, which sets them. It runs in whatever precision
    is set outside; logarithms are taken in float32, sums in float64. Results come to the host in one transfer at the
    end.

    Args:
        model: The model that the plan was made for.
        plan: What is asked, and how.
        split: Whether a batch that runs out of memory is divided and tried again. Ranks of a sharded model must not do
            that, since their numbers of forward passes would differ.

    Raises:
        ProbeError: Memory ran out, even with a single prompt in a forward pass.
    """
    run = _Run(model, plan.way, split)
    for group in plan.layout.groups:
        run.group(group)
    return Scored(_assembled(plan, run.read), run.tokens, run.num_splits)


class _Run:
    """One observation under way."""

    def __init__(self, model: Any, way: Way, split: bool) -> None:
        self.model, self.way, self.split = model, way, split
        self.read: list[Read] = []
        self.tokens = 0
        self.num_splits = 0

    def group(self, group: Group) -> None:
        try:
            stem = encode_stem(self.model, self.way, group.stem)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            raise ProbeError(f"out of memory with one stem of {len(group.stem)} tokens: {err}") from err
        self.tokens += len(group.stem)
        for batch in group.batches:
            self.batch(batch, stem)

    def batch(self, batch: Batch, stem: Any) -> None:
        try:
            self.read += read_batch(self.model, self.way, batch, stem)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            halves = batch.halves() if self.split else None
            if halves is None:
                raise ProbeError(f"out of memory with {len(batch.ids_BT)} prompt(s) in a forward pass: {err}") from err
        else:
            self.tokens += batch.tokens
            return
        # This is outside the handler, since a live exception would keep the failed pass's tensors.
        self.num_splits += 1
        give_back()
        for half in halves:
            self.batch(half, stem)


def _assembled(plan: Plan, read: list[Read]) -> list[NDArray[np.float64]]:
    layout = plan.layout
    values = np.full(layout.num_slots, np.nan)
    if read:
        device = read[0][0].device
        on_host = torch.cat([found.to(device) for found, _ in read]).cpu().numpy()
        values[np.concatenate([slots for _, slots in read])] = on_host
    sums = np.zeros(sum(len(r.continuations) for r in plan.requests))
    np.add.at(sums, layout.owners, np.where(np.isfinite(values), values, np.nan)[layout.slots])
    ends = np.cumsum([len(r.continuations) for r in plan.requests])
    return np.split(sums, ends[:-1])
