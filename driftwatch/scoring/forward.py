"""Sends a batch through the model: from token ids to log-probabilities of the tokens that are read.

Letters in names of tensors: B rows of a batch, T tokens of a row, S tokens of a row that stand before it in a cache,
K positions whose logits are kept, V vocabulary, E predictions that are read.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from driftwatch.errors import ProbeError
from driftwatch.host.switches import logits_of
from driftwatch.scoring.batches import Batch, Edges, Path
from driftwatch.scoring.layout import Layout
from driftwatch.scoring.memory import PIECE_BYTES


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is called, which `capability.py` finds by trying.

    Attributes:
        path: "tree": packed rows with an explicit attention mask; "cache": prompts once, then continuations from their
            cached states; "steps": the same, but the continuations token by token; "plain": every continuation in a row
            of its own, padded at the right; "even": the same, but only rows of equal length together; "alone": one row
            at a time.
        mask: The kind of mask on the tree path: "bool" (true means may attend) or "additive" (0 means may attend).
        windows: Look-back of the attention layers in tokens by layer type, 0 for unlimited; the name "" stands for all.
        trims: Whether the model accepts `logits_to_keep`, and so projects only those positions onto the vocabulary.
        caches: Whether the model accepts `use_cache`.
        cache_name: Name of the argument that takes a cache.
        widths: How many logits a position may have; empty if that is not known.
        extras: Further arguments of every call, from `switches`.
    """

    path: Path
    mask: Literal["bool", "additive"] = "bool"
    windows: tuple[tuple[str, int], ...] = (("", 0),)
    trims: bool = True
    caches: bool = True
    cache_name: str = "past_key_values"
    widths: tuple[int, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)


class _StemLayer(DynamicLayer):  # type: ignore[misc]  # transformers publishes no types
    """Keys and values of a stem, shared by all rows of all batches.

    An ordinary cache layer would keep what it is given. Here nothing of it is read again, so nothing is kept: only one
    layer's keys and values are in memory at a time, instead of those of all layers.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        rows = key_states.shape[0]
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )


def input_device(model: Any) -> torch.device:
    """The device for token ids; a model may be spread over several devices, and offloaded weights are on none."""
    embedding = model.get_input_embeddings()
    weight = getattr(embedding, "weight", None)
    device: torch.device = (weight if weight is not None else next(model.parameters())).device
    if device.type == "meta":
        # accelerate's hook moves the weights to a device for the forward, and the inputs, too.
        goes_to = getattr(getattr(embedding, "_hf_hook", None), "execution_device", None)
        real = (p.device for p in model.parameters() if p.device.type != "meta")
        device = torch.device(goes_to) if goes_to is not None else next(real, torch.device("cpu"))
    return device


def encode_stem(model: Any, way: Way, stem: tuple[int, ...]) -> Any | None:
    """The cached states of a stem, which many batches share; `None` for an empty stem."""
    if not stem:
        return None
    ids_BT = np.array([stem], np.int64)
    if way.path == "cache":
        return call(model, way, ids_BT, 1, cache=True)[1]
    # A cache made without the model's config has plain layers only; sliding ones would drop what our mask still needs.
    places = np.arange(len(stem))[None]
    inputs = _tree_inputs(model, way, places, np.full_like(ids_BT, len(stem)), 0)
    _, filled = call(model, way, ids_BT, 1, cache=DynamicCache(), **inputs)
    return Cache(layers=[_StemLayer(layer.keys, layer.values) for layer in filled.layers])


Read = tuple[Tensor, NDArray[np.int64]]  # log-probabilities (float32, on the device), and their slots


def read_layout(model: Any, way: Way, layout: Layout) -> Iterator[Read]:
    """Everything that a layout reads, batch by batch."""
    for group in layout.groups:
        stem = encode_stem(model, way, group.stem)
        for batch in group.batches:
            yield from read_batch(model, way, batch, stem)


def read_batch(model: Any, way: Way, batch: Batch, stem: Any | None) -> list[Read]:
    """The log-probabilities that are read from one batch.

    Raises:
        ProbeError: The model returned no logits of the shape that was asked for.
    """
    if way.path == "tree":
        stem_length = 0 if stem is None else stem.get_seq_length()
        inputs = _tree_inputs(model, way, batch.depths_BT, batch.ends_BT, stem_length)
        logits_BKV, _ = call(model, way, batch.ids_BT, batch.kept, cache=stem, **inputs)
        return [(_log_probabilities(logits_BKV, batch.edges), batch.edges.slots)]
    if way.path in ("plain", "even", "alone"):
        logits_BKV, _ = call(model, way, batch.ids_BT, batch.kept)
        return [(_log_probabilities(logits_BKV, batch.edges), batch.edges.slots)]
    return _read_with_cache(model, way, batch, stem)


def _read_with_cache(model: Any, way: Way, batch: Batch, stem: Any | None) -> list[Read]:
    """What is read from one batch of prompts, and from continuations that start from the prompts' states."""
    cache: Any = True
    if stem is not None:
        cache = copy.deepcopy(stem)  # a cache changes in place
        _select(model, cache, np.zeros(len(batch.ids_BT), np.int64))
    logits_BKV, cache = call(model, way, batch.ids_BT, batch.kept, cache=cache)
    read = [(_log_probabilities(logits_BKV, batch.edges), batch.edges.slots)]
    if batch.follow is None:
        return read
    del logits_BKV
    _select(model, cache, batch.follow.parents)
    for part in batch.follow.columns() if way.path == "steps" else [batch.follow]:
        logits_BKV, _ = call(model, way, part.ids_BT, part.ids_BT.shape[1], cache=cache)
        read.append((_log_probabilities(logits_BKV, part.edges), part.edges.slots))
    return read


def _select(model: Any, cache: Any, rows: NDArray[np.int64]) -> None:
    cache.reorder_cache(_sent(rows, input_device(model)))


def _sent(numbers: NDArray[np.int64], device: torch.device) -> Tensor:
    """Numbers on a device; on CUDA they are copied from pinned memory, without waiting for the device's earlier work.

    From any other memory, such a copy might read what has been freed since, so on other devices it is waited for.
    """
    found = torch.from_numpy(numbers)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found.to(device)


def call(
    model: Any, way: Way, ids_BT: NDArray[np.int64], kept: int, *, cache: Any = None, **inputs: Any
) -> tuple[Tensor, Any]:
    """Logits of the last `kept` positions, and the cache if one was given, or asked for with `True`.

    Raises:
        ProbeError: The model returned no logits, or not of the positions that were asked for.
    """
    ids = _sent(ids_BT, input_device(model))
    if cache is not None and cache is not True:
        inputs[way.cache_name] = cache
    if way.trims:
        inputs["logits_to_keep"] = kept
    if way.caches:  # models that check use_cache first would otherwise ignore a given cache
        inputs["use_cache"] = cache is not None
    out = model(input_ids=ids, **inputs, **way.extras)
    logits_BKV = logits_of(out)
    expected = kept if way.trims else ids.shape[1]
    shape = tuple(logits_BKV.shape) if isinstance(logits_BKV, Tensor) else (0, 0)
    # There may be more untrimmed logits than tokens: a soft prompt's virtual tokens stand before them.
    if shape[0] != ids.shape[0] or shape[1] < expected or (way.trims and shape[1] > expected):
        raise ProbeError(
            f"expected logits of shape ({ids.shape[0]}, {expected}, vocabulary) from {type(model).__name__}; found "
            f"{shape if logits_BKV is not None else 'none'}. Libraries that fuse the loss return none unless told to."
        )
    assert isinstance(logits_BKV, Tensor)
    if way.widths and shape[-1] not in way.widths:
        raise ProbeError(
            f"expected logits over a vocabulary of {' or '.join(map(str, way.widths))} tokens from "
            f"{type(model).__name__}; found rows of {shape[-1]}, which are hidden states or something else. A patched "
            "forward that gives these while its trainer wants them must give logits while driftwatch asks."
        )
    return logits_BKV[:, -kept:], _cache_of(out, way)


def _cache_of(out: Any, way: Way) -> Any:
    """The cache that a forward returns, which may have another name than the argument; `None` if there is none."""
    names = (way.cache_name, "past_key_values", "cache", "cache_params")
    return next((found for name in names if (found := getattr(out, name, None)) is not None), None)


def _tree_inputs(
    model: Any, way: Way, depths_BT: NDArray[np.int64], ends_BT: NDArray[np.int64], stem_length: int
) -> dict[str, Any]:
    """Positions and masks of packed rows."""
    device = input_device(model)
    depths, ends = _sent(depths_BT, device), _sent(ends_BT, device)
    masks = {name: _mask(way, depths, ends, stem_length, window, model) for name, window in way.windows}
    return {"position_ids": depths, "attention_mask": masks[""] if list(masks) == [""] else masks}


def _mask(way: Way, depths_BT: Tensor, ends_BT: Tensor, stem_length: int, window: int, model: Any) -> Tensor:
    """The attention mask, (B, 1, T, S + T): a token attends to its ancestors in the window and to itself."""
    rows, tokens = depths_BT.shape
    place_T = torch.arange(tokens, device=depths_BT.device)
    own_BTT = (place_T[None, :] <= place_T[:, None]) & (place_T[None, :, None] < ends_BT[:, None, :])
    stem_BTS = own_BTT.new_ones(rows, tokens, stem_length)
    may_look = torch.cat([stem_BTS, own_BTT], dim=2)
    if window:
        stem_depths = torch.arange(stem_length, device=depths_BT.device).expand(rows, -1)
        all_depths = torch.cat([stem_depths, depths_BT], dim=1)
        may_look &= depths_BT[:, :, None] - all_depths[:, None, :] < window
    # Padding attends to itself, since the softmax of a row that attends to nothing is undefined.
    may_look[:, place_T, stem_length + place_T] = True
    if way.mask == "bool":
        return may_look[:, None]
    dtype = model.get_input_embeddings().weight.dtype
    closed = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=depths_BT.device)
    return torch.where(may_look, torch.zeros_like(closed), closed)[:, None]


def _log_probabilities(logits_BKV: Tensor, edges: Edges) -> Tensor:
    """Natural log-probabilities, float32, E. The normaliser is computed in pieces, to save memory."""
    kept, vocabulary = logits_BKV.shape[1:]
    device = logits_BKV.device
    logits_NV = logits_BKV.reshape(-1, vocabulary)
    piece = max(1, PIECE_BYTES // (4 * vocabulary))
    normalizer_N = torch.cat([part.float().logsumexp(dim=1) for part in torch.split(logits_NV, piece)])
    at_E, tokens_E = _sent(edges.rows * kept + edges.columns, device), _sent(edges.tokens, device)
    return logits_NV[at_E, tokens_E].float() - normalizer_N[at_E]
