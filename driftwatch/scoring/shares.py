"""Deals the questions of an observation to several ranks, and puts their answers together.

The batches of a plan are dealt to the ranks as they are, so a question is in the same batch however many ranks there
are. A rank that has fewer than the others asks something again, and drops what it reads.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from driftwatch.errors import ProbeError
from driftwatch.host.lockstep import in_step, is_sharded
from driftwatch.host.ranks import (
    broadcast,
    everywhere,
    is_apart,
    num_ranks,
    on_first,
    rank,
    same_everywhere,
    together,
)
from driftwatch.host.sharding import is_tensor_parallel
from driftwatch.scoring.memory import give_back, is_out_of_memory
from driftwatch.scoring.score import Plan, Request, Scored, dry_look, plan, score

A = TypeVar("A")
T = TypeVar("T")


def plan_on_ranks(requests: Sequence[Request], model: Any, **options: Any) -> Plan:
    """`plan` and `dry_look` for several ranks that train together, with the same batches on every rank.

    Args:
        requests: What is asked; rank 0's requests count.
        model: The model that `undisturbed` yields.
        options: Options of `plan`.

    Raises:
        ProbeError: `plan` or `dry_look` raised it, or ranks plan differently. Every rank raises it.
    """
    if num_ranks() == 1:
        return dry_look(model, plan(requests, model, **options))
    requests = broadcast(list(requests))
    made = everywhere(lambda: plan(requests, model, **options), "planning an observation")
    same_everywhere(made.digest, "the plan of an observation", ProbeError)
    if is_sharded(model):
        return _scored(model, made)[1]
    # Memory differs between devices, so all ranks keep to what the smallest can do.
    settled = together(lambda: dry_look(model, made).max_tokens, "the dry observation")
    while made.max_tokens > min(settled):
        made = made.halved()
    return made


def score_on_ranks(model: Any, plan: Plan) -> Scored:
    """`score` for several ranks that train together: each scores its share, and every rank gets all results.

    Results are those of a single process, since the batches are the same; `tokens_computed` counts all ranks.

    Args:
        model: The model that `undisturbed` yields.
        plan: The plan from `plan_on_ranks`.

    Raises:
        ProbeError: It failed on some rank. Every rank raises it.
    """
    if num_ranks() == 1:
        return score(model, plan)
    if is_apart():
        return on_first(lambda: score(model, plan), "asking the replica of rank 0")
    return _scored(model, plan)[0]


def _scored(model: Any, plan: Plan) -> tuple[Scored, Plan]:
    """Scores, and the plan that fitted into the memory of every rank."""
    sharded, num_splits = is_sharded(model) or is_tensor_parallel(model), 0
    while True:
        mine = plan.shard(rank(), num_ranks()) if _is_divisible(model, plan) else plan
        shares = together(partial(_share, model, mine, sharded, plan.digest), digest=plan.digest)
        found = [share for share in shares if share is not None]
        if len(found) == len(shares):
            return _merged(found, num_splits), plan
        # Ranks of a sharded model must divide their batches together.
        give_back()
        plan, num_splits = plan.halved(), num_splits + 1


def _share(model: Any, mine: Plan, sharded: bool, digest: str) -> Scored | None:
    """One rank's scores; `None` if a sharded model ran out of memory, and all ranks must use smaller batches."""
    try:
        with in_step(model, mine.num_forwards, digest=digest):
            return score(model, mine, split=not sharded)
    except ProbeError as err:
        if sharded and err.__cause__ is not None and is_out_of_memory(err.__cause__):
            return None
        raise


def _merged(shares: Sequence[Scored], num_splits: int) -> Scored:
    log_likelihoods = []
    for found in zip(*(share.log_likelihoods for share in shares), strict=True):
        merged = found[0]
        for other in found[1:]:
            merged = np.where(np.isnan(merged), other, merged)
        log_likelihoods.append(merged)
    tokens = sum(share.tokens_computed for share in shares)
    return Scored(log_likelihoods, tokens, num_splits + sum(share.num_splits for share in shares))


def _is_divisible(model: Any, plan: Plan) -> bool:
    """Whether ranks can score different batches.

    They cannot under tensor parallelism, where all must have the same input, nor if one prompt has so many
    continuations that a single one is read from two batches. Then every rank scores everything.
    """
    if is_tensor_parallel(model):
        return False
    batch_of = np.zeros(plan.layout.num_slots, np.int64)
    batches = [batch for group in plan.layout.groups for batch in group.batches]
    for index, batch in enumerate(batches):
        batch_of[batch.edges.slots] = index
        if batch.follow is not None:
            batch_of[batch.follow.edges.slots] = index
    read_from = batch_of[plan.layout.slots]
    first = np.full(int(plan.layout.owners.max()) + 1, len(batches))
    last = np.zeros_like(first)
    np.minimum.at(first, plan.layout.owners, read_from)
    np.maximum.at(last, plan.layout.owners, read_from)
    return bool((first == last).all())


def dealt(items: Sequence[A], to: int) -> list[A]:
    """The share of one rank, `ceil(items / ranks)` items; a rank with too few is given other items again."""
    ranks, per_rank = num_ranks(), -(-len(items) // num_ranks())
    return [items[index % len(items)] for index in range(to, per_rank * ranks, ranks)]


def spread(model: Any, items: Sequence[A], work: Callable[[Sequence[A]], Sequence[T]], num_forwards: int) -> list[T]:
    """Works on equal shares of some items, one share per rank; every rank gets all results, in the order of the items.

    Args:
        model: The model that `undisturbed` yields.
        items: The items, the same on every rank; their `repr` is compared.
        work: Gives one result per item. A rank with too few is given other items again, and their results are dropped.
        num_forwards: Forward passes that `work` makes for a share, the same on every rank.

    Raises:
        ProbeError: It failed on some rank. Every rank raises it.
    """
    if not items:
        return []
    if is_apart():
        return on_first(lambda: list(work(items)), "asking the replica of rank 0")
    ranks, mine = num_ranks(), dealt(items, rank())
    digest = hashlib.sha256(repr(list(items)).encode()).hexdigest()[:16]

    def ask() -> Sequence[T]:
        with in_step(model, num_forwards, "drawing replies", digest):
            return work(mine)

    shares = together(ask, "drawing replies", digest)
    return [shares[index % ranks][index // ranks] for index in range(len(items))]
