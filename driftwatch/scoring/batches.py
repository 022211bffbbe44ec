"""Batches: the tokens that go through the model together, and what is read from them. Numbers only, no model.

Letters in names of arrays: B rows of a batch, T tokens of a row, K positions whose predictions are read, E predictions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Path = Literal["tree", "cache", "steps", "plain", "even", "alone"]


class Size(NamedTuple):
    """The size of a forward pass.

    Attributes:
        rows: Rows.
        tokens: Tokens per row.
        before: Tokens that a cache holds before each row.
        kept: Positions per row whose logits are kept.
    """

    rows: int
    tokens: int
    before: int
    kept: int


Fits = Callable[[Size], bool]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Edges:
    """Predictions that are read from the logits of one forward pass, ordered by row.

    Attributes:
        rows: Row of each prediction, E.
        columns: Column of each prediction among the K kept positions, E.
        tokens: The token whose log-probability is read, E.
        slots: Index of each prediction among all predictions of the plan, E.
    """

    rows: Ints
    columns: Ints
    tokens: Ints
    slots: Ints

    def of_rows(self, start: int, stop: int) -> "Edges":
        """The predictions of the rows from `start` to before `stop`."""
        part = slice(*np.searchsorted(self.rows, [start, stop]))
        return Edges(self.rows[part] - start, self.columns[part], self.tokens[part], self.slots[part])


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth
class Follow:
    """The continuations of a batch of prompts, which start from their prompts' cached states.

    Attributes:
        parents: For each row, the row of its prompt; ascending.
        ids_BT: Tokens, padded at the right, where a causal model never attends.
        edges: The predictions that are read; all T positions are kept.
    """

    parents: Ints
    ids_BT: Ints
    edges: Edges

    def of_rows(self, start: int, stop: int, first_parent: int) -> "Follow":
        """The rows from `start` to before `stop`, with their prompts counted from `first_parent`."""
        rows = slice(start, stop)
        return Follow(self.parents[rows] - first_parent, self.ids_BT[rows], self.edges.of_rows(start, stop))

    def size(self, prompt_length: int) -> Size:
        """The size of its forward pass, behind prompts of `prompt_length` tokens."""
        rows, tokens = self.ids_BT.shape
        return Size(rows, tokens, prompt_length, tokens)

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
        ends_BT: Column where each token's descendants end; 0 for padding, which nothing may attend to.
        kept: K, the number of last positions of every row that hold all that is read.
        edges: The predictions that are read.
        follow: The continuations, on the paths "cache" and "steps"; else `None`.
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
        """The sizes of its forward passes, behind a stem of `stem_length` tokens."""
        rows, tokens = self.ids_BT.shape
        first = Size(rows, tokens, stem_length, self.kept)
        return [first] if self.follow is None else [first, self.follow.size(stem_length + tokens)]

    def unread(self) -> "Batch":
        """The same forward passes, from which nothing is read."""
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
