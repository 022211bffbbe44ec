"""The plan of an observation: what is asked, and which tokens go through the model together.

Composition, order and padding stay the same for the life of a baseline, since each of them moves scores a little
(lm-evaluation-harness#704, #1645), which would look like drift.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from driftwatch.errors import ProbeError
from driftwatch.scoring.batches import Batch
from driftwatch.scoring.capability import choose_way, deepest
from driftwatch.scoring.forward import Way
from driftwatch.scoring.layout import Group, Layout, lay_out
from driftwatch.scoring.memory import SHARE_OF_MODEL, Footprint, fits_within, footprint, model_bytes
from driftwatch.scoring.trie import Request, count_naive, count_unique, families

# Enough to keep a large accelerator busy; with smaller models the memory bound is reached first.
MAX_TOKENS = 8192


@dataclass(frozen=True, slots=True, eq=False)  # compare digests: arrays have no single truth
class Plan:
    """What is asked, and which tokens go through the model together.

    Attributes:
        requests: What is asked.
        way: How the model is called.
        layout: The batches.
        footprint: Estimated memory of a forward pass.
        max_tokens: Bound on the tokens of one forward pass.
        max_bytes: Bound on its estimated memory in bytes; a single prompt may exceed it.
        deviation: Largest difference from scoring each continuation alone, in the sample that `plan` tried, in nats.
        tokens_naive: Token positions if each prompt + continuation were computed alone.
        tokens_unique: Distinct (prompt + beginning of a continuation) positions over all requests.
    """

    requests: tuple[Request, ...]
    way: Way
    layout: Layout
    footprint: Footprint
    max_tokens: int
    max_bytes: int
    deviation: float
    tokens_naive: int
    tokens_unique: int

    @property
    def path(self) -> str:
        """The path, which says what is shared: all tokens on "tree", a prompt's on "cache" and "steps", else none."""
        return self.way.path

    @property
    def tokens_computed(self) -> int:
        """Token positions that go through the model at one observation, stems and padding included."""
        return self.layout.tokens

    @property
    def num_forwards(self) -> int:
        """Forward passes of one observation, as long as memory suffices."""
        stems = sum(bool(group.stem) for group in self.layout.groups)
        return stems + sum(self._forwards_of(batch) for group in self.layout.groups for batch in group.batches)

    def _forwards_of(self, batch: Batch) -> int:
        if batch.follow is None:
            return 1
        return 1 + (batch.follow.ids_BT.shape[1] if self.way.path == "steps" else 1)

    @property
    def peak_bytes(self) -> int:
        """Estimated peak of an observation in bytes, on top of what the process holds already."""
        return max(
            self.footprint.of(size)
            for group in self.layout.groups
            for batch in group.batches
            for size in batch.sizes(len(group.stem))
        )

    @property
    def digest(self) -> str:
        """Sixteen hex digits that name requests, path and composition; equal digests give comparable numbers."""
        sha = hashlib.sha256(repr((self.requests, self.way)).encode())
        for group in self.layout.groups:
            sha.update(repr(group.stem).encode())
            for batch in group.batches:
                sha.update(repr((batch.ids_BT.shape, batch.kept)).encode())
                sha.update(batch.ids_BT.tobytes())
                sha.update(batch.ends_BT.tobytes())
        return sha.hexdigest()[:16]

    def permuted(self, rng: np.random.Generator) -> "Plan":
        """The same requests in other batches of the same kind: what differs between the two is numeric noise."""
        return self._laid_out(rng.uniform(1.0, 1.3, len(self.requests)).tolist())

    def subset(self, indices: Sequence[int]) -> "Plan":
        """A plan for some of the requests, in the order of `indices`, in batches of its own."""
        requests = tuple(self.requests[i] for i in indices)
        return replace(
            self, requests=requests, tokens_naive=count_naive(requests), tokens_unique=count_unique(requests)
        )._laid_out()

    def halved(self) -> "Plan":
        """The same requests in batches of half the size.

        Raises:
            ProbeError: No batch can be made smaller.
        """
        smaller = self
        while smaller.layout.largest == self.layout.largest:
            if smaller.max_tokens < 2:
                raise ProbeError(
                    "out of memory with a single prompt in a forward pass; an observation does not fit in memory."
                )
            smaller = replace(smaller, max_tokens=smaller.max_tokens // 2, max_bytes=smaller.max_bytes // 2)._laid_out()
        return smaller

    def shard(self, rank: int, num_ranks: int) -> "Plan":
        """One rank's share: the same stems and the same number of forward passes on every rank.

        A rank with too few batches repeats one and drops what it reads. `score` gives nan for what other ranks score,
        so a result is the one value among the ranks that is not nan, if there is one.
        """
        groups = []
        for group in self.layout.groups:
            mine = group.batches[rank::num_ranks]
            short = -(-len(group.batches) // num_ranks) - len(mine)
            groups.append(Group(group.stem, mine + tuple(group.batches[0].unread() for _ in range(short))))
        return replace(self, layout=replace(self.layout, groups=tuple(groups)))

    def _laid_out(self, jitter: Sequence[float] | None = None) -> "Plan":
        fits = fits_within(self.footprint, self.max_tokens, self.max_bytes)
        return replace(self, layout=lay_out(self.requests, self.way.path, families(self.requests), fits, jitter))


def plan(
    requests: Sequence[Request],
    model: Any,
    *,
    max_tokens: int = MAX_TOKENS,
    max_bytes: int | None = None,
    like: Plan | None = None,
) -> Plan:
    """Choose how to call the model, by trying, and fix the composition of the batches.

    Call it as an observation is called: inside the guard, in the precision of training, on all ranks alike.

    Args:
        requests: What is asked; results come in this order.
        model: A causal language model, plain or wrapped by PEFT.
        max_tokens: Bound on the tokens of one forward pass.
        max_bytes: Bound on the estimated memory of one forward pass; `None` means a fifth of the model's weights. A
            single prompt with its continuations is asked in any case.
        like: A plan of the same model. If its requests are not shorter, the model is called in the same way, untried.

    Raises:
        ProbeError: The model returns no usable logits, or memory is too small for even one continuation.
        ValueError: There is nothing to ask, or a prompt or continuation is empty.
    """
    asked = tuple(requests)
    if not asked or any(not r.prompt or not r.continuations or not all(r.continuations) for r in asked):
        raise ValueError("a plan needs requests, each with a prompt and continuations of one token or more")
    if like is not None and max(map(deepest, asked)) <= max(map(deepest, like.requests)):
        way, cost, deviation = like.way, like.footprint, like.deviation
    else:
        way, logit_bytes, deviation, _ = choose_way(model, asked)
        keeps_cache, additive = way.path in ("cache", "steps"), way.mask == "additive"
        cost = footprint(model, logit_bytes=logit_bytes, keeps_cache=keeps_cache, additive_mask=additive)
    bytes_bound = int(model_bytes(model) * SHARE_OF_MODEL) if max_bytes is None else max_bytes
    fits = fits_within(cost, max_tokens, bytes_bound)
    layout = lay_out(asked, way.path, families(asked), fits)
    return Plan(
        asked,
        way,
        layout,
        cost,
        max_tokens,
        bytes_bound,
        deviation,
        count_naive(asked),
        count_unique(asked),
    )
