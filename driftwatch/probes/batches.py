"""Rows to batches of fixed composition. Numbers only, no model.

Letters in names of arrays: B rows of a batch, T tokens of a row, K positions whose predictions are read, E predictions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.probes.trie import Family, Request, Row, Tokens, chain_row, tree_row

Ints = NDArray[np.int64]
Path = Literal["tree", "cache", "steps", "plain"]


class Size(NamedTuple):
    """What a forward pass takes: rows, tokens of a row, tokens before it in a cache, positions read of a row."""

    rows: int
    tokens: int
    before: int
    kept: int


Fits = Callable[[Size], bool]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Edges:
    """Predictions that are read from the logits of one forward pass, ordered by row.

    Attributes:
        rows: Row of each, E.
        columns: Column of each among the K kept positions, E.
        tokens: The token whose log-probability is read, E.
        slots: Where each goes among all predictions of the plan, E.
    """

    rows: Ints
    columns: Ints
    tokens: Ints
    slots: Ints

    def of_rows(self, start: int, stop: int) -> "Edges":
        """Those of some neighbouring rows."""
        part = slice(*np.searchsorted(self.rows, [start, stop]))
        return Edges(self.rows[part] - start, self.columns[part], self.tokens[part], self.slots[part])


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Follow:
    """What comes after a batch of prompts: continuations, from their prompts' cached states.

    Attributes:
        parents: For each row the row of its prompt, ascending.
        ids_BT: Tokens, padded at the right, where a causal model never looks.
        edges: What is read; all T positions are kept.
    """

    parents: Ints
    ids_BT: Ints
    edges: Edges

    def of_rows(self, start: int, stop: int, first_parent: int) -> "Follow":
        """Some neighbouring rows, their prompts counted from `first_parent`."""
        rows = slice(start, stop)
        return Follow(self.parents[rows] - first_parent, self.ids_BT[rows], self.edges.of_rows(start, stop))

    def columns(self) -> Iterator["Follow"]:
        """One token of every row at a time."""
        for column in range(self.ids_BT.shape[1]):
            here, edges = self.edges.columns == column, self.edges
            kept = Edges(edges.rows[here], edges.columns[here] - column, edges.tokens[here], edges.slots[here])
            yield Follow(self.parents, self.ids_BT[:, column : column + 1], kept)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Batch:
    """Rows that go through the model together.

    Attributes:
        ids_BT: Tokens.
        depths_BT: Position of each token in its own sequence, stem included; 0 for padding.
        ends_BT: Column where each token's descendants end; 0 for padding, which nothing may look at.
        kept: K: the last positions of every row, which hold all that is read.
        edges: What is read.
        follow: On the paths "cache" and "steps", what comes after.
    """

    ids_BT: Ints
    depths_BT: Ints
    ends_BT: Ints
    kept: int
    edges: Edges
    follow: Follow | None = None

    @property
    def tokens(self) -> int:
        """Token positions that go through the model, padding included."""
        return int(self.ids_BT.size) + (0 if self.follow is None else int(self.follow.ids_BT.size))

    def sizes(self, stem_length: int) -> list[Size]:
        """Of its forward passes, behind a stem."""
        rows, tokens = self.ids_BT.shape
        first = Size(rows, tokens, stem_length, self.kept)
        return [first] if self.follow is None else [first, _follow_size(self.follow, stem_length + tokens)]

    def unread(self) -> "Batch":
        """The same forward passes, of which nothing is read."""
        follow = self.follow
        if follow is not None:
            follow = replace(follow, edges=follow.edges.of_rows(0, 0))
        return replace(self, edges=self.edges.of_rows(0, 0), follow=follow)

    def halves(self) -> "tuple[Batch, Batch] | None":
        """The same work in two batches; `None` when it cannot be divided."""
        rows = len(self.ids_BT)
        if rows > 1:
            return self._rows(0, rows // 2), self._rows(rows // 2, rows)
        if self.follow is None or len(self.follow.parents) < 2:
            return None
        # One prompt with many continuations: the prompt is computed again, and its own predictions are read once.
        continuations = len(self.follow.parents)
        middle = continuations // 2
        return (
            replace(self, follow=self.follow.of_rows(0, middle, 0)),
            replace(self, edges=self.edges.of_rows(0, 0), follow=self.follow.of_rows(middle, continuations, 0)),
        )

    def _rows(self, start: int, stop: int) -> "Batch":
        rows, follow = slice(start, stop), None
        if self.follow is not None:
            first, last = np.searchsorted(self.follow.parents, [start, stop])
            follow = self.follow.of_rows(int(first), int(last), start)
        return replace(
            self,
            ids_BT=self.ids_BT[rows],
            depths_BT=self.depths_BT[rows],
            ends_BT=self.ends_BT[rows],
            edges=self.edges.of_rows(start, stop),
            follow=follow,
        )


class Group(NamedTuple):
    """Batches that start from the same stem; an empty stem is nothing to start from."""

    stem: Tokens
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Layout:
    """All batches, and how to put their predictions together.

    Attributes:
        groups: The batches by stem.
        num_slots: Distinct predictions that are read.
        owners: With `slots`: continuation `owners[i]`, counted over all requests, contains prediction `slots[i]`.
        slots: See `owners`.
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
    """Rows in batches of similar length, longest first.

    Args:
        requests: What is asked.
        path: "tree": one row a request; "cache" and "steps": prompts, then their continuations; "plain": one row a
            continuation.
        families: Requests that share a stem. Stems are ignored where nothing longer than a token can follow one.
        fits: Whether a forward pass of some size is small enough. A single row is taken in any case.
        jitter: For each request a factor on its length for sorting, to get other batches of the same rows.
    """
    maker = _Maker(requests, fits, jitter or [1.0] * len(requests))
    make = {"tree": maker.trees, "cache": maker.prompts, "steps": maker.prompts, "plain": maker.chains}[path]
    if path in ("steps", "plain"):
        families = [Family((), tuple(range(len(requests))))]
    groups = tuple(Group(stem, tuple(make(stem, members))) for stem, members in families)
    return Layout(groups, maker.num_slots, np.array(maker.owners, np.int64), np.array(maker.slots, np.int64))


class _Placed(NamedTuple):
    row: Row
    first_slot: int
    sort_length: float


class _Maker:
    """Hands out slots while batches are made."""

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
        placed = [
            self._place(i, chain_row(self.requests[i].prompt, tokens), self.first_owner[i] + c)
            for i in members
            for c, tokens in enumerate(self.requests[i].continuations)
        ]
        # The padding is at the right, where a causal model never looks, so that no mask is needed.
        yield from self._pack(placed, before=0, pad_left=False)

    def prompts(self, stem: Tokens, members: Sequence[int]) -> Iterator[Batch]:
        def length(i: int) -> int:
            return len(self.requests[i].prompt)

        # Prompts of one length only: the state of a recurrent layer would take padding in.
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
        size = None if follow is None else _follow_size(follow, prompt_length)
        if halves is None or size is None or self.fits(size):
            yield batch
            return
        for half in halves:
            yield from self._small_enough(half, prompt_length)

    def _prompt_batch(self, members: Sequence[int], stem_length: int) -> Batch:
        """Prompts of equal length with K = 1, followed by every continuation that has more than one token."""
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


def _follow_size(follow: Follow, prompt_length: int) -> Size:
    rows, tokens = follow.ids_BT.shape
    return Size(rows, tokens, prompt_length, tokens)


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
