"""Layout puts all rows of an observation into batches of fixed composition. Numbers only, no model.

Letters in names of arrays: B rows of a batch, T tokens of a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from driftwatch.scoring.batches import Batch, Edges, Fits, Follow, Ints, Path, Size
from driftwatch.scoring.trie import Family, Request, Row, Tokens, chain_row, tree_row


class Group(NamedTuple):
    """Batches that start from the same stem; with an empty stem, they start from nothing."""

    stem: Tokens
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Layout:
    """All batches, and which of their predictions belong to which continuation.

    Attributes:
        groups: The batches by stem.
        num_slots: Number of distinct predictions that are read.
        owners: Indices of continuations, counted over all requests: `owners[i]` contains prediction `slots[i]`.
        slots: Indices of predictions, as long as `owners`.
    """

    groups: tuple[Group, ...]
    num_slots: int
    owners: Ints
    slots: Ints

    @property
    def tokens(self) -> int:
        """Token positions that go through the model, stems and padding included."""
        return sum(len(group.stem) + sum(batch.tokens for batch in group.batches) for group in self.groups)

    @property
    def largest(self) -> int:
        """Tokens of the largest batch."""
        return max(batch.tokens for group in self.groups for batch in group.batches)


def lay_out(
    requests: Sequence[Request],
    path: Path,
    families: Sequence[Family],
    fits: Fits,
    jitter: Sequence[float] | None = None,
) -> Layout:
    """All rows in batches of similar length, longest first.

    Args:
        requests: What is asked.
        path: "tree": one row per request; "cache" and "steps": prompts, then their continuations; "plain": one row per
            continuation; "even": the same, but only rows of equal length in a batch; "alone": a batch for each row.
        families: Requests that share a stem. Only the paths "tree" and "cache" use stems.
        fits: Says whether a forward pass of some size is small enough. A single row is accepted in any case.
        jitter: For each request, a factor on its length for sorting, which gives other batches of the same rows; `None`
            means no jitter.
    """
    maker = _Maker(requests, fits, jitter or [1.0] * len(requests))
    make = {
        "tree": maker.trees,
        "cache": maker.prompts,
        "steps": maker.prompts,
        "plain": maker.chains,
        "even": maker.even_chains,
        "alone": maker.single_chains,
    }[path]
    if path not in ("tree", "cache"):
        families = [Family((), tuple(range(len(requests))))]
    groups = tuple(Group(stem, tuple(make(stem, members))) for stem, members in families)
    return Layout(groups, maker.num_slots, np.array(maker.owners, np.int64), np.array(maker.slots, np.int64))


class _Placed(NamedTuple):
    row: Row
    first_slot: int
    sort_length: float


class _Maker:
    """Makes batches, and numbers the predictions (slots) on the way."""

    def __init__(self, requests: Sequence[Request], fits: Fits, jitter: Sequence[float]) -> None:
        self.requests = requests
        self.fits = fits
        self.jitter = jitter
        self.first_owner = np.concatenate([[0], np.cumsum([len(r.continuations) for r in requests])])
        self.num_slots = 0
        self.owners: list[int] = []
        self.slots: list[int] = []

    def trees(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        placed = [self._place(i, tree_row(self.requests[i], len(stem)), self.first_owner[i]) for i in members]
        yield from self._pack(placed, before=len(stem), pad_left=True)

    def chains(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        # The padding is at the right, where a causal model never attends, so no mask is needed.
        yield from self._pack(self._chained(members), before=0, pad_left=False)

    def even_chains(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        placed = sorted(self._chained(members), key=lambda p: -len(p.row.ids))
        for _, same in groupby(placed, lambda p: len(p.row.ids)):
            yield from self._pack(list(same), before=0, pad_left=False)

    def single_chains(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        for one in self._chained(members):
            yield from self._pack([one], before=0, pad_left=False)

    def _chained(self, members: Sequence[int]) -> list[_Placed]:
        return [
            self._place(i, chain_row(self.requests[i].prompt, tokens), self.first_owner[i] + c)
            for i in members
            for c, tokens in enumerate(self.requests[i].continuations)
        ]

    def prompts(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        def length(i: int) -> int:
            return len(self.requests[i].prompt)

        # All prompts of a batch have one length, since padding would change the state of a recurrent layer.
        order = sorted(members, key=lambda i: (-length(i), self.jitter[i], i))
        for prompt_length, same in groupby(order, length):
            waiting = list(same)
            while waiting:
                count = 1
                while count < len(waiting) and self.fits(self._follow_size(waiting[: count + 1])):
                    count += 1
                batch = self._prompt_batch(waiting[:count], len(stem))
                yield from self._small_enough(batch, prompt_length)
                waiting = waiting[count:]

    def _place(self, i: int, row: Row, first_owner: int) -> _Placed:
        placed = _Placed(row, self.num_slots, len(row.ids) * self.jitter[i])
        self.num_slots += len(row.edge_nodes)
        for c, path in enumerate(row.paths):
            self.owners += [int(first_owner) + c] * len(path)
            self.slots += [placed.first_slot + edge for edge in path]
        return placed

    def _pack(self, placed: list[_Placed], *, before: int, pad_left: bool) -> Iterator[Batch]:
        waiting = sorted(placed, key=lambda p: (-p.sort_length, p.row.first_read))
        while waiting:
            count = 1
            while count < len(waiting) and self.fits(_size(waiting[: count + 1], before, pad_left)):
                count += 1
            yield _batch(waiting[:count], _size(waiting[:count], before, pad_left), pad_left)
            waiting = waiting[count:]

    def _follow_size(self, members: Sequence[int]) -> Size:
        longest = max(len(tokens) for i in members for tokens in self.requests[i].continuations)
        rows = sum(len(self.requests[i].continuations) for i in members)
        return Size(rows, longest, len(self.requests[members[0]].prompt), longest)

    def _small_enough(self, batch: Batch, prompt_length: int) -> Iterator[Batch]:
        follow, halves = batch.follow, batch.halves()
        size = None if follow is None else follow.size(prompt_length)
        if halves is None or size is None or self.fits(size):
            yield batch
            return
        for half in halves:
            yield from self._small_enough(half, prompt_length)

    def _prompt_batch(self, members: Sequence[int], stem_length: int) -> Batch:
        """A batch of prompts of equal length with K = 1, and every continuation of theirs of more than one token."""
        firsts: dict[tuple[int, int], int] = {}  # (row, first token) to its slot
        parents: list[int] = []
        tails: list[Tokens] = []
        edges: list[tuple[int, int, int, int]] = []  # row, column, token, slot, of the continuations
        for row, i in enumerate(members):
            for c, tokens in enumerate(self.requests[i].continuations):
                first = (row, tokens[0])
                if first not in firsts:
                    firsts[first] = self._new_slot()
                path = [firsts[first], *(self._new_slot() for _ in tokens[1:])]
                edges += [(len(tails), n, token, path[n + 1]) for n, token in enumerate(tokens[1:])]
                if len(tokens) > 1:
                    parents.append(row)
                    tails.append(tokens[:-1])
                self.owners += [int(self.first_owner[i]) + c] * len(path)
                self.slots += path
        ids_BT = np.array([self.requests[i].prompt[stem_length:] for i in members], np.int64)
        depths_BT = np.zeros_like(ids_BT) + np.arange(ids_BT.shape[1]) + stem_length
        first_edges = Edges(
            rows=np.array([row for row, _ in firsts], np.int64),
            columns=np.zeros(len(firsts), np.int64),
            tokens=np.array([token for _, token in firsts], np.int64),
            slots=np.array(list(firsts.values()), np.int64),
        )
        follow = Follow(np.array(parents, np.int64), _padded(tails, pad_left=False), _edges(edges)) if tails else None
        return Batch(ids_BT, depths_BT, np.full_like(ids_BT, ids_BT.shape[1]), 1, first_edges, follow)

    def _new_slot(self) -> int:
        self.num_slots += 1
        return self.num_slots - 1


def _size(placed: Sequence[_Placed], before: int, pad_left: bool) -> Size:
    tokens = max(len(p.row.ids) for p in placed)
    offset = [tokens - len(p.row.ids) if pad_left else 0 for p in placed]
    first_read = min(o + p.row.first_read for o, p in zip(offset, placed, strict=True))
    return Size(len(placed), tokens, before, tokens - first_read)


def _batch(placed: Sequence[_Placed], size: Size, pad_left: bool) -> Batch:
    depths = _padded([p.row.depths for p in placed], pad_left)
    ends = np.zeros_like(depths)
    edges = []
    for row, p in enumerate(placed):
        length = len(p.row.ids)
        offset = size.tokens - length if pad_left else 0
        ends[row, offset : offset + length] = np.array(p.row.ends) + offset
        for edge, (node, token) in enumerate(zip(p.row.edge_nodes, p.row.edge_tokens, strict=True)):
            edges.append((row, offset + node - (size.tokens - size.kept), token, p.first_slot + edge))
    return Batch(_padded([p.row.ids for p in placed], pad_left), depths, ends, size.kept, _edges(edges))


def _edges(edges: list[tuple[int, int, int, int]]) -> Edges:
    return Edges(*np.array(edges, np.int64).reshape(-1, 4).T)


def _padded(rows: Sequence[Tokens], pad_left: bool) -> Ints:
    width = max(map(len, rows))
    out = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        out[i, width - len(row) if pad_left else 0 :][: len(row)] = row
    return out
