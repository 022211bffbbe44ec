"""Which tokens several prompts and their continuations share, so that each is computed once. Numbers only, no model.

All prompts of a bank begin alike (the chat template, the first words of the question): that beginning is a *stem*.
What follows it is one *row* per request: the rest of the prompt, then the tree of its continuations in depth-first
order, so that a node's descendants stand right behind it:

    stem                      row
    <user> Which is closer    to your view? A or B <assistant> ─┬─ I think that ─┬─ A
                                                                │                └─ B
                                                                └─ Both have good points

A node may attend only to its ancestors and itself. Node j is an ancestor of node i, or i itself, exactly if
`j <= i < end[j]`, where `end[j]` is the index behind j's last descendant. A continuation's last token is only
predicted, so it is no node.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from driftwatch.chat.tokens import shared_length

Tokens = tuple[int, ...]

# A stem costs one more forward pass, so fewer requests than this get no stem of their own, unless there are no others.
_SMALLEST_FAMILY = 8


class Request(NamedTuple):
    """One prompt and the continuations that are scored after it.

    Attributes:
        prompt: Token ids of the prompt, at least one.
        continuations: Token ids of each continuation, at least one in each.
    """

    prompt: Tokens
    continuations: tuple[Tokens, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One request's tokens behind its stem, each once, in depth-first order: N nodes, E predictions.

    Attributes:
        ids: Token of each node, N.
        depths: Position of each node in its own sequence, the stem included, N.
        ends: Index behind the last descendant of each node, N.
        first_read: Index of the prompt's last token; from there on, every node's prediction is read.
        edge_nodes: For each distinct prediction that is read, the node that predicts, E.
        edge_tokens: For each of them, the token whose probability is read, E.
        paths: For each continuation, the predictions whose log-probabilities add up to its own.
    """

    ids: tuple[int, ...]
    depths: tuple[int, ...]
    ends: tuple[int, ...]
    first_read: int
    edge_nodes: tuple[int, ...]
    edge_tokens: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]


class Family(NamedTuple):
    """Requests that share a stem: indices into the requests. An empty stem shares nothing."""

    stem: Tokens
    members: tuple[int, ...]


def tree_row(request: Request, stem_length: int) -> Row:
    """The row of a request behind the first `stem_length` tokens of its prompt, its continuations merged into a tree.

    Raises:
        ValueError: The stem covers the whole prompt. Its last token must be in the row, since its prediction is read.
    """
    if not 0 <= stem_length < len(request.prompt):
        raise ValueError(f"a stem must leave at least one of {len(request.prompt)} prompt tokens; found {stem_length}")
    ids = list(request.prompt[stem_length:])
    depths = list(range(stem_length, len(request.prompt)))
    ends = [-1] * len(ids)
    edges: dict[tuple[int, int], int] = {}
    paths: list[tuple[int, ...]] = [()] * len(request.continuations)
    root = len(ids) - 1
    branch = [root]  # nodes from the root to the one added last; branch[n] stands for a continuation's first n tokens
    previous: Tokens = ()
    # In sorted order, continuations that share a beginning are neighbours, and depth-first order comes by itself.
    for index in sorted(range(len(paths)), key=lambda i: request.continuations[i]):
        tokens = request.continuations[index]
        while len(branch) > shared_length(previous, tokens) + 1:
            ends[branch.pop()] = len(ids)
        for length in range(len(branch), len(tokens)):
            branch.append(len(ids))
            ids.append(tokens[length - 1])
            depths.append(len(request.prompt) + length - 1)
            ends.append(-1)
        paths[index] = tuple(edges.setdefault((branch[n], token), len(edges)) for n, token in enumerate(tokens))
        previous = tokens
    return Row(
        ids=tuple(ids),
        depths=tuple(depths),
        ends=tuple(len(ids) if end < 0 else end for end in ends),
        first_read=root,
        edge_nodes=tuple(node for node, _ in edges),
        edge_tokens=tuple(token for _, token in edges),
        paths=tuple(paths),
    )


def chain_row(prompt: Tokens, continuation: Tokens) -> Row:
    """The row of one continuation alone, which shares nothing, for models that cannot read a tree."""
    ids = (prompt + continuation)[:-1]
    first_read = len(prompt) - 1
    return Row(
        ids=ids,
        depths=tuple(range(len(ids))),
        ends=(len(ids),) * len(ids),
        first_read=first_read,
        edge_nodes=tuple(range(first_read, len(ids))),
        edge_tokens=continuation,
        paths=(tuple(range(len(continuation))),),
    )


def families(requests: Sequence[Request]) -> tuple[Family, ...]:
    """Requests grouped by the longest beginning worth computing once.

    Some of the requests get a longer stem if it saves more than twice the tokens that it costs, so that two-sided and
    verdict questions each have their own.
    """
    order = sorted(range(len(requests)), key=lambda i: requests[i].prompt)
    found: dict[Tokens, list[int]] = {}
    for stem_length, members in _split(requests, order, 0):
        found.setdefault(requests[members[0]].prompt[:stem_length], []).extend(members)
    return tuple(Family(stem, tuple(sorted(members))) for stem, members in sorted(found.items()))


def _split(requests: Sequence[Request], members: list[int], stem_length: int) -> Iterator[tuple[int, list[int]]]:
    """Stem lengths and their requests, for neighbours in sorted order that share at least `stem_length` tokens."""
    first, last = requests[members[0]].prompt, requests[members[-1]].prompt
    # A stem stops before the last token of the shortest prompt, which need not be the first; all share `shared` tokens.
    shared = min(shared_length(first, last), min(len(requests[i].prompt) for i in members) - 1)
    if len(members) * (shared - stem_length) > 2 * shared or (stem_length == 0 < shared and len(members) > 1):
        stem_length = shared
    rest: list[int] = []
    for branch in _by_token(requests, members, shared):
        if len(branch) < _SMALLEST_FAMILY or len(branch) == len(members):
            rest += branch
        else:
            yield from _split(requests, branch, stem_length)
    if rest:
        yield stem_length, rest


def _by_token(requests: Sequence[Request], members: list[int], place: int) -> Iterator[list[int]]:
    """Groups of neighbours that have the same token at `place`."""
    branch: list[int] = []
    for i in members:
        if branch and requests[branch[-1]].prompt[place] != requests[i].prompt[place]:
            yield branch
            branch = []
        branch.append(i)
    if branch:
        yield branch


def count_naive(requests: Iterable[Request]) -> int:
    """Token positions if each prompt + continuation is computed alone, without the last token of each."""
    return sum(len(r.prompt) + len(c) - 1 for r in requests for c in r.continuations)


def count_unique(requests: Iterable[Request]) -> int:
    """Distinct (prompt + beginning of a continuation) positions over all requests, without last tokens."""
    previous: Tokens = ()
    unique = 0
    for sequence in sorted({(r.prompt + c)[:-1] for r in requests for c in r.continuations}):
        unique += len(sequence) - shared_length(previous, sequence)
        previous = sequence
    return unique
