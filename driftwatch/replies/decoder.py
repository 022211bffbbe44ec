"""Decoder: a batch of prompts written on, one token a call, in one of the ways in which a model can be called for it.

Which way is right for a model is found by trying, in `decoding_trial.py`.

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
    """How a model is called to write on.

    Attributes:
        padded: Prompts of any length stand in one batch, the shorter ones padded at the left; otherwise only prompts of
            one length do.
        batched: A call may have more than one row.
        cache: The argument that takes the cache; `None` where every token is read from the whole text again.
        cache_field: Where the output has it.
        masked: An `attention_mask` is given.
        placed: `position_ids` are given.
        trims: The model projects onto the vocabulary only where it is told to (`logits_to_keep`).
        inside: After the first call the model inside its wrapper is called: soft prompts, which a wrapper puts before
            everything that it is given, stand in the cache by then.
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
    """Which prompts are decoded together, by index: in their order, and of one length where the way needs that.

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
    """Batches of the rank that needs most; each share has the lengths of one rank's prompts."""
    return max(len(batches_of(lengths, way, batch_size)) for lengths in shares)


class Writer:
    """One batch on its way: gives the logits of the next token, and takes the tokens that were chosen.

    Args:
        model: Plain or wrapped; its own forward is called. Inside the guard, without gradients.
        way: How it is called.
        rows: Token ids of the prompts; of one length unless the way pads.
        length: Pads every prompt to this many tokens, where the way pads.
        num_new: Tokens that will be written at most.
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
        # At the left, so that every row's newest token stands in the last column.
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
            ids_B: What each row says now.
        """
        self._ids_BL = torch.cat([self._ids_BL, ids_B[:, None]], dim=1)
        if self._past is None:  # everything is read again
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
        output: Of a forward pass.
        num_rows: B.

    Raises:
        ProbeError: There are none.
    """
    logits = logits_of(output)
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[0] != num_rows or logits.numel() == 0:
        raise ProbeError(
            "the model returned no logits; fused-loss kernels that skip them must be off while driftwatch observations."
        )
    return logits[:, -1].float()
