"""How a model can be called, found by trying on a few of the requests instead of by names of architectures.

Each prompt + continuation of a small sample is scored alone, the slow and certain way. The first faster way that gives
the same numbers is taken. So a model whose attention ignores our mask, whose state cannot be copied, or whose library
replaced its forward pass, is scored correctly all the same, only more slowly.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from driftwatch.errors import ProbeError
from driftwatch.probes.configs import setting, text_config
from driftwatch.probes.forward import Way, call, read_layout
from driftwatch.probes.layout import lay_out
from driftwatch.probes.memory import is_out_of_memory
from driftwatch.probes.switches import switches
from driftwatch.probes.trie import Family, Request, shared_length

logger = logging.getLogger(__name__)

# A way may differ from the certain one by this many nats, or this many times what batching alone changes (reduced-
# precision matrix products), or one unit in the last place of the sum, in the precision of the logits. In bfloat16 that
# is 0.3 of 40 nats, where a tree was seen to differ by 0.07 at most, and a wrong mask by 1 at least.
_TOLERANCE = 1e-3
_TIMES_NOISE = 8


class Chosen(NamedTuple):
    """How a model is called from now on.

    Attributes:
        way: The fastest way that gave the right numbers.
        logit_bytes: Bytes of one logit as the model returns it.
        deviation: Largest difference from scoring alone in the sample, nats.
        noise: The same for batches without any sharing: the numeric noise of batching.
    """

    way: Way
    logit_bytes: int
    deviation: float
    noise: float


@torch.no_grad()
def choose_way(model: Any, requests: Sequence[Request]) -> Chosen:
    """The fastest way to call a model that gives the same numbers as scoring each continuation alone.

    Call it as a look is called: inside the guard, in the precision of training.

    Raises:
        ProbeError: The model returns no usable logits, or memory is too small for even one continuation.
    """
    sample = _sample(requests)
    base = Way("plain", extras=switches(model))
    try:
        plain, logit_bytes = _trimming(model, base, sample)
        alone = [_alone(model, plain, request) for request in sample]
        certain = np.concatenate([found for found, _ in alone])
        noise = _deviation(model, plain, sample, certain)
    except RuntimeError as err:
        if is_out_of_memory(err):
            raise ProbeError(f"out of memory while scoring one continuation at a time: {err}") from err
        raise
    last_place = max(resolution for _, resolution in alone) * float(np.abs(certain).max())
    limit = max(_TOLERANCE, _TIMES_NOISE * noise, last_place)
    for way in _faster_ways(model, plain, sample):
        try:
            deviation = _deviation(model, way, sample, certain)
        except Exception as err:  # an architecture may refuse an unusual call with any error
            if is_out_of_memory(err):
                raise ProbeError(f"out of memory while trying how to call the model: {err}") from err
            logger.debug("path=%s mask=%s refused: %r", way.path, way.mask, err)
            continue
        if deviation <= limit:
            return Chosen(way, logit_bytes, deviation, noise)
        logger.debug("path=%s mask=%s deviates by %.3g nats, limit %.3g", way.path, way.mask, deviation, limit)
    return Chosen(plain, logit_bytes, noise, noise)


def _sample(requests: Sequence[Request]) -> list[Request]:
    """The longest and the shortest request, so that one of them is padded, with a few neighbouring continuations."""
    by_length = sorted(requests, key=deepest)
    return [Request(request.prompt, _neighbours(request)) for request in dict.fromkeys([by_length[-1], by_length[0]])]


def deepest(request: Request) -> int:
    """Tokens of a prompt with its longest continuation."""
    return len(request.prompt) + max(map(len, request.continuations))


def _neighbours(request: Request, count: int = 3) -> tuple[tuple[int, ...], ...]:
    """The longest continuation and those beside it in sorted order, which share its first tokens if any do."""
    ordered = sorted(request.continuations)
    longest = max(range(len(ordered)), key=lambda i: len(ordered[i]))
    start = max(0, min(longest - count // 2, len(ordered) - count))
    return tuple(ordered[start : start + count])


def _trimming(model: Any, way: Way, sample: Sequence[Request]) -> tuple[Way, int]:
    """Whether the model projects onto the vocabulary only where it is told to, and the bytes of a logit."""
    ids_BT = np.array([sample[-1].prompt[:2] * 2], np.int64)
    for trims in (True, False):
        tried = replace(way, trims=trims)
        try:
            logits_BKV, _ = call(model, tried, ids_BT, 1)
        except (ProbeError, TypeError, ValueError):
            if not trims:
                raise
            continue
        return tried, logits_BKV.element_size()
    raise AssertionError("unreachable: the last attempt returns or raises")


def _alone(model: Any, way: Way, request: Request) -> tuple[NDArray[np.float64], float]:
    """Each continuation in a forward pass of its own, and the relative resolution of the logits."""
    whole = replace(way, trims=False)
    found, resolution = [], 0.0
    for tokens in request.continuations:
        ids = (request.prompt + tokens)[:-1]
        logits_BKV, _ = call(model, whole, np.array([ids], np.int64), len(tokens))
        resolution = _resolution(logits_BKV)
        log_p_TV = logits_BKV[0].double().log_softmax(dim=1).cpu()
        found.append(float(log_p_TV[range(len(tokens)), list(tokens)].sum()))
    return np.array(found), resolution


def _resolution(logits: Tensor) -> float:
    """Relative, as the values show it: autocast and its wrappers hand out float32 that was computed in less."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(logits, logits.to(dtype).to(logits.dtype)):
            return torch.finfo(dtype).eps
    return torch.finfo(logits.dtype).eps


def _deviation(model: Any, way: Way, sample: Sequence[Request], certain: NDArray[np.float64]) -> float:
    first = sample[0].prompt
    stem = min(min(shared_length(first, r.prompt), len(r.prompt) - 1) for r in sample)
    families = [Family(first[:stem], tuple(range(len(sample))))]
    layout = lay_out(sample, way.path, families, fits=lambda size: True)
    values = np.zeros(layout.num_slots)
    for read, slots in read_layout(model, way, layout):
        values[slots] = read.double().cpu().numpy()
    found = np.zeros(len(certain))
    np.add.at(found, layout.owners, values[layout.slots])
    deviation = float(np.abs(found - certain).max())
    return deviation if np.isfinite(deviation) else float("inf")


def _faster_ways(model: Any, plain: Way, sample: Sequence[Request]) -> Iterator[Way]:
    eager = setting(text_config(model), "_attn_implementation") == "eager"
    masks: tuple[Literal["bool", "additive"], ...] = ("additive", "bool") if eager else ("bool", "additive")
    for windows in _possible_windows(text_config(model), max(map(deepest, sample))):
        for mask in masks:
            yield replace(plain, path="tree", mask=mask, windows=windows)
    for path in ("cache", "steps"):
        for name in ("past_key_values", "cache_params"):
            yield replace(plain, path=path, cache_name=name)


def _possible_windows(config: Any, longest: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """How far attention layers may look back, by layer type where types differ; what the config says comes first."""
    window = setting(config, "sliding_window", 0)
    kinds = sorted(set(setting(config, "layer_types", ())))
    if 0 < window < longest:
        if "sliding_attention" in kinds:
            yield tuple((kind, window if kind == "sliding_attention" else 0) for kind in kinds)
        yield (("", window),)
    yield (("", 0),)
