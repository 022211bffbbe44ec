"""Decoder: continues a batch of prompts, one token per call, in one of the ways in which a model can be called.

`decoding_trial.py` finds by trial which way is right for a model.

Shape letters: B rows of a batch, L prompt tokens, T new tokens, V vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from driftwatch.errors import ProbeError
from driftwatch.host.switches import logits_of
from driftwatch.host.wrappers import unwrapped


@dataclass(frozen=True, slots=True)
class DecodingWay:
    """How a model is called to continue texts.

    Attributes:
        padded: Whether prompts of any length share a batch, the shorter ones padded at the left; otherwise all prompts
            of a batch have one length.
        batched: Whether a call may have more than one row.
        cache: Name of the argument that takes the cache; `None` if the whole text is read again for every token.
        cache_field: Name of the output's field that holds the cache.
        masked: Whether an `attention_mask` is given.
        placed: Whether `position_ids` are given.
        trims: Whether the model is told to project only the last position onto the vocabulary (`logits_to_keep`).
        inside: Whether the model inside its wrapper is called after the first call. A wrapper puts soft prompts before
            everything that it is given, and by then they are in the cache.
        options: Further arguments of every call.
    """

    padded: bool = True
    batched: bool = True
    cache: str | None = "past_key_values"
    cache_field: str = "past_key_values"
    masked: bool = True
    placed: bool = True
    trims: bool = True
    inside: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def batches_of(lengths: Sequence[int], way: DecodingWay, batch_size: int) -> list[list[int]]:
    """The batches as lists of prompt indices: in order, and of one length each if the way needs that.

    >>> batches_of([5, 7, 5, 5], DecodingWay(), 2)
    [[0, 1], [2, 3]]
    >>> batches_of([5, 7, 5, 5], DecodingWay(padded=False), 2)
    [[0, 2], [3], [1]]
    """
    size = batch_size if way.batched else 1
    groups: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(0 if way.padded else length, []).append(index)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def most_batches(shares: Iterable[Sequence[int]], way: DecodingWay, batch_size: int) -> int:
    """Number of batches of the rank that needs the most; each share holds the lengths of one rank's prompts."""
    return max(len(batches_of(lengths, way, batch_size)) for lengths in shares)


class Writer:
    """One batch that is being written: gives the logits of the next token, and takes the tokens that were chosen.

    Args:
        model: The model, plain or wrapped; its own forward is called, inside the guard and without gradients.
        way: How the model is called.
        rows: Token ids of the prompts; all of one length unless the way pads.
        length: Pads every prompt to this many tokens, if the way pads.
        num_new: Most tokens that will be written.
    """

    def __init__(
        self, model: Any, way: DecodingWay, rows: Sequence[Sequence[int]], *, length: int, num_new: int
    ) -> None:
        self.device = next(model.parameters()).device
        self._model = model
        self._way = way
        self._past: Any = None
        if not way.padded:
            length = len(rows[0])
        # Padding goes to the left, so that every row's newest token stands in the last column.
        padded = [[0] * (length - len(row)) + list(row) for row in rows]
        self._ids_BL = torch.tensor(padded, device=self.device)
        starts_B1 = torch.tensor([[length - len(row)] for row in rows], device=self.device)
        self._mask = (torch.arange(length + num_new, device=self.device) >= starts_B1).long()

    def first(self) -> Tensor:
        """Logits of the first new token, float32, shape (B, V)."""
        return self._forward(self._model, self._ids_BL, 0)

    def after(self, ids_B: Tensor) -> Tensor:
        """Logits of the token after these, float32, shape (B, V).

        Args:
            ids_B: The token chosen for each row.
        """
        self._ids_BL = torch.cat([self._ids_BL, ids_B[:, None]], dim=1)
        if self._past is None:  # without a cache, the whole text is read again
            return self._forward(self._model, self._ids_BL, 0)
        model = unwrapped(self._model) if self._way.inside else self._model
        return self._forward(model, ids_B[:, None], self._ids_BL.shape[1] - 1)

    def _forward(self, model: Any, ids_BT: Tensor, start: int) -> Tensor:
        way, until = self._way, start + ids_BT.shape[1]
        arguments = dict(way.options)
        mask = self._mask[:, :until]
        if way.masked:
            arguments["attention_mask"] = mask
        if way.placed:
            arguments["position_ids"] = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, start:]
        if way.trims:
            arguments["logits_to_keep"] = 1
        if way.cache is not None:
            arguments["use_cache"] = True
            if self._past is not None:
                arguments[way.cache] = self._past
        output = model(input_ids=ids_BT, **arguments)
        if way.cache is not None:
            self._past = getattr(output, way.cache_field, None)
            if self._past is None:
                raise ProbeError(f"{type(model).__name__} returned no {way.cache_field}.")
        return newest_logits(output, len(ids_BT))


def newest_logits(output: Any, num_rows: int) -> Tensor:
    """Logits of the last position, float32, shape (B, V).

    Args:
        output: The output of a forward pass.
        num_rows: The number of rows, B.

    Raises:
        ProbeError: The output has no logits.
    """
    logits = logits_of(output)
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[0] != num_rows or logits.numel() == 0:
        raise ProbeError(
            "the model returned no logits; fused-loss kernels that skip them must be off while driftwatch observes."
        )
    return logits[:, -1].float()
