"""How a model can be called, found by trying on a few of the requests instead of by names of architectures.

Each prompt + continuation of a small sample is scored alone, which is slow and certain. Then the first faster way that
gives the same numbers is taken. So a model is still scored correctly, only more slowly, if its attention ignores our
mask, its state cannot be copied, or a library has replaced its forward pass.
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
from driftwatch.host.configs import all_configs, setting, text_config
from driftwatch.host.switches import parameters_of, switches, vocabulary_sizes
from driftwatch.scoring.forward import Way, call, read_layout
from driftwatch.scoring.layout import lay_out
from driftwatch.scoring.memory import is_out_of_memory
from driftwatch.scoring.trie import Family, Request, Tokens, families

logger = logging.getLogger(__name__)

# A way may differ from scoring alone by this many nats, or by this many times what batching alone changes (matrix
# products of reduced precision), or by one unit in the last place of the sum, in the precision of the logits …
_TOLERANCE = 1e-3
_TIMES_NOISE = 8
# … and never by more than this many nats of a whole answer, whatever batching or the last place would allow. Measured
# with 38 tiny architectures (2 layers, weights strong enough that attention matters, answers of 6 to 12 tokens) on a
# CPU, transformers 5.23: in float32 correct ways differed by 4e-6 at most, in bfloat16 by 0.061 at most (batching alone
# by 0.029), and ways with a wrong mask or state by 1.7 to 4.7. Longer answers and TF32 need the room above.
_TOP, _TOP_ROUGH = 0.02, 0.5
# How many requests are tried beside the longest and the shortest, and how many more may replace some that overflow.
_FURTHER, _REPLACEMENTS = 4, 16
_ROUGH = 1e-4  # relative resolution of logits that were computed in less than float32
_CACHE_NAMES = ("past_key_values", "cache", "cache_params")


class Chosen(NamedTuple):
    """How a model is called from now on.

    Attributes:
        way: The fastest way that gave the right numbers.
        logit_bytes: Bytes of one logit as the model returns it.
        deviation: Largest difference from scoring alone in the sample, in nats; nan if no request of the sample gave
            finite numbers.
        noise: The same difference for batches that share no tokens, which is the numeric noise of batching.
    """

    way: Way
    logit_bytes: int
    deviation: float
    noise: float


class _Sample(NamedTuple):
    """Requests that are tried, each with its stem in the plan, and what scoring each continuation alone gives.

    Attributes:
        requests: What is asked.
        stems: For each request, its stem in the plan.
        certain: Log-likelihood of each continuation, scored alone, in nats.
        last_place: One unit in the last place of the largest of them, in nats.
    """

    requests: tuple[Request, ...]
    stems: tuple[Tokens, ...]
    certain: NDArray[np.float64]
    last_place: float


@torch.no_grad()
def choose_way(model: Any, requests: Sequence[Request]) -> Chosen:
    """The fastest way to call a model that gives the same numbers as scoring each continuation alone.

    Call it as an observation is called: inside the guard, in the precision of training.

    Raises:
        ProbeError: The model returns no usable logits, looks ahead, or gives other numbers each time, or memory is too
            small for even one continuation.
    """
    base = Way("plain", extras=switches(model), widths=vocabulary_sizes(model))
    try:
        plain, logits = _trimming(model, base, requests[0])
        sample = _sampled(model, plain, requests)
        alone = replace(plain, path="alone")
        if not np.isfinite(sample.certain).all():
            logger.warning("no question gave finite logits; each answer is asked in a forward pass of its own")
            return Chosen(alone, logits.element_size(), float("nan"), float("nan"))
        again = _deviation(model, alone, sample)
        noise = _deviation(model, plain, sample)
        top = _TOP_ROUGH if _is_rough(model, logits) else _TOP
        limit = min(max(_TOLERANCE, _TIMES_NOISE * noise, sample.last_place), top)
        if again <= limit:
            _check_causal(model, plain, sample.requests[0])
    except Exception as err:
        if is_out_of_memory(err):
            raise ProbeError(f"out of memory while scoring one continuation at a time: {err}") from err
        raise
    if again > limit:
        raise ProbeError(
            f"expected {type(model).__name__} to give the same numbers for the same answer; found a difference of "
            f"{again:.3g} nats between two times, where {limit:.3g} can be put down to rounding. Something in its "
            "forward pass is random, or depends on what was asked before, also in eval mode."
        )
    for way in _faster_ways(model, plain, sample.requests):
        try:
            deviation = _deviation(model, way, sample)
        except Exception as err:  # an architecture may refuse an unusual call with any error
            if is_out_of_memory(err):
                raise ProbeError(f"out of memory while trying how to call the model: {err}") from err
            logger.debug("path=%s mask=%s refused: %r", way.path, way.mask, err)
            continue
        if deviation <= limit:
            return Chosen(way, logits.element_size(), deviation, noise)
        logger.debug("path=%s mask=%s deviates by %.3g nats, limit %.3g", way.path, way.mask, deviation, limit)
    if noise <= limit:
        return Chosen(plain, logits.element_size(), noise, noise)
    even = replace(plain, path="even")
    if (deviation := _deviation(model, even, _doubled(sample))) <= limit:
        return Chosen(even, logits.element_size(), deviation, noise)
    logger.warning(
        "%s gives other numbers for an answer that is asked beside others (%.3g nats), so each is asked alone: an "
        "observation takes longer",
        type(model).__name__,
        noise,
    )
    return Chosen(alone, logits.element_size(), again, noise)


def _sampled(model: Any, way: Way, requests: Sequence[Request]) -> _Sample:
    """A few requests of different lengths, scored alone; one without finite numbers is replaced by its neighbour."""
    stems = {i: family.stem for family in families(requests) for i in family.members}
    by_length = sorted(range(len(requests)), key=lambda i: deepest(requests[i]))
    taken: dict[int, tuple[Request, NDArray[np.float64], float]] = {}
    spare, unusable = _REPLACEMENTS, {}
    for wanted in _telling(model, [requests[i] for i in by_length]):
        for place in sorted(range(len(by_length)), key=lambda place: abs(place - wanted)):
            index = by_length[place]
            if index in taken:
                break
            if index in unusable:
                continue
            request = Request(requests[index].prompt, _neighbours(requests[index]))
            found, resolution = _alone(model, way, request)
            if np.isfinite(found).all():
                taken[index] = (request, found, resolution)
                break
            unusable[index] = (request, found, resolution)
            spare -= 1
            if spare < 0:
                break
    if not taken:
        taken = dict(list(unusable.items())[:1])
    certain = np.concatenate([found for _, found, _ in taken.values()])
    largest = float(np.abs(certain).max())
    return _Sample(
        tuple(request for request, _, _ in taken.values()),
        tuple(stems[index] for index in taken),
        certain,
        max(resolution for _, _, resolution in taken.values()) * largest,
    )


def _doubled(sample: _Sample) -> _Sample:
    """Every request twice, so that there are rows of equal length."""
    twice = np.concatenate([sample.certain, sample.certain])
    return sample._replace(requests=sample.requests * 2, stems=sample.stems * 2, certain=twice)


def _telling(model: Any, by_length: Sequence[Request]) -> list[int]:
    """Places of the longest and the shortest request, so that one of them is padded, and of a few more.

    The further ones cross, or stop short of, a length at which the config says that something changes: an attention
    window, or the positions of a RoPE before it is scaled.
    """
    found = [len(by_length) - 1, 0]
    lengths = [(len(request.prompt), deepest(request)) for request in by_length]
    marks = sorted({n for config in all_configs(model) for n in _numbers(config) if 1 < n < lengths[-1][1]})
    for mark in reversed(marks):
        crossing = [place for place, (prompt, whole) in enumerate(lengths) if prompt <= mark < whole]
        below = [place for place, (_, whole) in enumerate(lengths) if whole <= mark]
        found += [places[-1] for places in (crossing, below) if places]
    return list(dict.fromkeys(found))[: 2 + _FURTHER]


def _numbers(config: Any) -> Iterator[int]:
    """Whole numbers in a config that may be lengths of a sequence, judging by their names."""
    for name, value in vars(config).items():
        values = value.values() if isinstance(value, dict) else [value]
        if any(word in name for word in ("position", "window", "rope", "length", "chunk", "topk", "block")):
            yield from (n for n in values if isinstance(n, int) and not isinstance(n, bool))


def _check_causal(model: Any, way: Way, request: Request) -> None:
    """Check that no prediction depends on a later token, as it would if the model could see the answer.

    Raises:
        ProbeError: A prediction changes with a later token.
    """
    whole = replace(way, trims=False)
    ids = list(request.prompt + request.continuations[0])
    other = [*ids[:-1], ids[0] if ids[0] != ids[-1] else ids[-2]]
    both = [
        call(model, whole, np.array([row], np.int64), len(ids))[0][0, :-1].double().log_softmax(1)
        for row in (ids, other)
    ]
    if not all(torch.isfinite(one).all() for one in both):
        return
    difference = float((both[0] - both[1]).abs().max())
    if difference > 1.0:
        raise ProbeError(
            f"expected {type(model).__name__} to predict each token from those before it; found that its predictions "
            f"change by {difference:.3g} nats with a later token. A model that looks ahead has no likelihood "
            "of an answer: train it without driftwatch, or set is_causal to true."
        )


def deepest(request: Request) -> int:
    """Tokens of a prompt with its longest continuation."""
    return len(request.prompt) + max(map(len, request.continuations))


def _neighbours(request: Request, count: int = 3) -> tuple[tuple[int, ...], ...]:
    """The longest continuation and those beside it in sorted order, which share its first tokens if any do."""
    ordered = sorted(request.continuations)
    longest = max(range(len(ordered)), key=lambda i: len(ordered[i]))
    start = max(0, min(longest - count // 2, len(ordered) - count))
    return tuple(ordered[start : start + count])


def _trimming(model: Any, way: Way, request: Request) -> tuple[Way, Tensor]:
    """The way with those arguments that the model accepts in every call, and logits as it returns them.

    One argument makes it project onto the vocabulary only at some positions, another says whether to keep a cache.
    """
    ids_BT = np.array([request.prompt[:2] * 2], np.int64)
    tries = [(trims, caches) for caches in (True, False) for trims in (True, False)]
    first: Exception | None = None
    for trims, caches in tries:
        tried = replace(way, trims=trims, caches=caches)
        try:
            return tried, call(model, tried, ids_BT, 1)[0]
        except Exception as err:  # a forward may refuse an argument with any error
            if is_out_of_memory(err):
                raise
            # The error of the call without trimming is about the model itself, and not about a missing argument.
            first = err if first is None or (not trims and caches) else first
    assert first is not None
    raise first


def _alone(model: Any, way: Way, request: Request) -> tuple[NDArray[np.float64], float]:
    """Log-likelihood of each continuation from its own forward pass, and the relative resolution of the logits."""
    whole = replace(way, trims=False)
    found, resolution = [], 0.0
    for tokens in request.continuations:
        ids = (request.prompt + tokens)[:-1]
        logits_BKV, _ = call(model, whole, np.array([ids], np.int64), len(tokens))
        resolution = _resolution(logits_BKV)
        log_p_TV = logits_BKV[0].double().log_softmax(dim=1).cpu()
        found.append(float(log_p_TV[range(len(tokens)), list(tokens)].sum()))
    return np.array(found), resolution


def _is_rough(model: Any, logits: Tensor) -> bool:
    """Whether some part of a forward computes in less than float32."""
    weight = getattr(model.get_input_embeddings(), "weight", None)
    return _resolution(logits) > _ROUGH or getattr(weight, "dtype", None) in (torch.bfloat16, torch.float16)


def _resolution(logits: Tensor) -> float:
    """Relative resolution of logits, judged by their values: under autocast, float32 may hold coarser numbers."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(logits, logits.to(dtype).to(logits.dtype)):
            return torch.finfo(dtype).eps
    return torch.finfo(logits.dtype).eps


def _deviation(model: Any, way: Way, sample: _Sample) -> float:
    """Largest difference from scoring alone in nats, with the stems of the plan; infinite if numbers are not finite."""
    members: dict[Tokens, list[int]] = {}
    for index, stem in enumerate(sample.stems):
        members.setdefault(stem, []).append(index)
    grouped = [Family(stem, tuple(found)) for stem, found in members.items()]
    layout = lay_out(sample.requests, way.path, grouped, fits=lambda size: True)
    values = np.zeros(layout.num_slots)
    for read, slots in read_layout(model, way, layout):
        values[slots] = read.double().cpu().numpy()
    found = np.zeros(len(sample.certain))
    np.add.at(found, layout.owners, values[layout.slots])
    deviation = float(np.abs(found - sample.certain).max())
    return deviation if np.isfinite(deviation) else float("inf")


def _faster_ways(model: Any, plain: Way, sample: Sequence[Request]) -> Iterator[Way]:
    eager = setting(text_config(model), "_attn_implementation") == "eager"
    masks: tuple[Literal["bool", "additive"], ...] = ("additive", "bool") if eager else ("bool", "additive")
    names = _cache_names(model)
    for windows in _possible_windows(text_config(model), max(map(deepest, sample))):
        for mask in masks:
            for name in names:
                yield replace(plain, path="tree", mask=mask, windows=windows, cache_name=name)
    for path in ("cache", "steps"):
        for name in names:
            yield replace(plain, path=path, cache_name=name)


def _cache_names(model: Any) -> list[str]:
    """Names that the argument for a cache may have, likelier ones first; trying tells which one is right."""
    named = parameters_of(model)
    return sorted(_CACHE_NAMES, key=lambda name: name not in named)


def _possible_windows(config: Any, longest: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """Guesses of how far attention layers may look back, by layer type if types differ; the config's guess is first."""
    window = setting(config, "sliding_window", 0)
    kinds = sorted(set(setting(config, "layer_types", ())))
    if 0 < window < longest:
        if "sliding_attention" in kinds:
            yield tuple((kind, window if kind == "sliding_attention" else 0) for kind in kinds)
        yield (("", window),)
    yield (("", 0),)
