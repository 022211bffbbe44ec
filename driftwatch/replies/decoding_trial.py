"""Decoding trial: finds by trial how a model can be called to write replies, before any reply counts.

First a short and a long prompt are continued in the slow, sure way: each alone, without a cache, without padding, the
whole text read again for every token. Then the faster ways are tried on the same two prompts with the same tokens, and
the first that gives the same logits is taken. Names and signatures are not trusted: if a library silently drops,
renames or ignores something (a cache under another name, a mask, positions, soft prompts before every step, states
that cannot be padded), that costs time but never makes a reply that the model would not give.

Every rank of a training does the same, and a way counts as right only if it is right on all ranks.

Shape letters: B rows of a batch, T new tokens, V vocabulary.
"""

import inspect
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from driftwatch.errors import ProbeError
from driftwatch.host.configs import setting, text_config
from driftwatch.host.lockstep import in_step, is_sharded
from driftwatch.host.ranks import broadcast, together
from driftwatch.host.switches import logits_of, switches
from driftwatch.host.wrappers import unwrapped
from driftwatch.replies.decoder import DecodingWay, Writer
from driftwatch.scoring.memory import is_out_of_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")

# New tokens in a trial: a dropped cache shows at the second token, and a cache that is kept but not updated a little
# later.
_NUM_TOKENS = 10
# A deviation is the root mean square over the vocabulary of the difference in log-probability, as a share of the spread
# (standard deviation) of the log-probabilities. The limit is the largest of three: _TOLERANCE, _TIMES_NOISE times what
# the shape of a call alone changes, and _LAST_PLACES steps of the logits' precision; it is never more than _TOP.
# Measured on 140 small architectures: right ways deviate by at most 1e-5 in float32 and 0.016 in bfloat16, wrong ones
# by at least 0.002, and all but a few of those by 0.1 to 1.
_TOLERANCE = 2e-4
_TIMES_NOISE = 4
_LAST_PLACES = 3
_TOP = 0.05
# Largest deviation of one logit over the mean deviation: more than a normal distribution gives over any vocabulary.
_WORST = 12
_QUESTIONS_TRIED = 5  # prompts that are tried at most, if the model has no finite logits for the first ones
_NO_CACHE = ("loss", "logits", "attentions", "aux_loss", "z_loss")


class Proved(NamedTuple):
    """How replies are decoded from now on.

    Attributes:
        way: The fastest way that gives what the sure way gives.
        note: Why that is not the fastest way of all; `None` if it is.
        deviation: Largest deviation from the sure way in the trial, as a share of the spread of log-probabilities.
    """

    way: DecodingWay
    note: str | None
    deviation: float

    @property
    def sentence(self) -> str:
        """What the trial found, as a sentence for people."""
        if self.note is not None:
            return self.note
        return (
            "replies are decoded in padded batches with the model's cache, and are what it says token by token "
            f"(log-probabilities agree within {self.deviation:.1g} of their spread)"
        )


class _Said(NamedTuple):
    """What the sure way gives for one prompt.

    Attributes:
        tokens: At each step the likeliest token that was not used before, so that every step is new.
        log_p: Log-probabilities, shape (T, V).
        last_place: The step between two neighbouring logits in the precision in which they were computed, as a share of
            the spread.
    """

    tokens: tuple[int, ...]
    log_p: Tensor
    last_place: float


@dataclass(frozen=True, slots=True)
class _Certain:
    """What the sure way gives for both prompts.

    Attributes:
        prompts: A short prompt and a long one.
        said: What the sure way gives for each prompt.
        limit: Largest deviation that counts as rounding.
        stops: Tokens that end a reply; a trial does not write them.
    """

    prompts: tuple[tuple[int, ...], ...]
    said: tuple[_Said, ...]
    limit: float
    stops: tuple[int, ...]


@torch.no_grad()
def prove_decoding(
    model: Any, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, stop_ids: Sequence[int] = ()
) -> Proved:
    """The fastest way to decode replies that are the model's own.

    Call it like an observation: inside the guard, in the precision of training, on every rank.

    Args:
        model: The model that `undisturbed` yields.
        prompts: Token ids of what will be asked, one prompt or more; the same on every rank.
        max_new_tokens: Most tokens of a reply.
        stop_ids: Tokens that end a reply.

    Raises:
        ProbeError: No reply of this model can be trusted; the message says why. Raised on every rank.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ways that are only tried may warn
        try:
            sure = _sure_way(model, min(prompts, key=len))
            certain = _certain(model, sure, prompts, max_new_tokens, tuple(stop_ids))
            ways = broadcast(list(_faster_ways(model, sure, certain.prompts[0])))
        except RuntimeError as err:
            if is_out_of_memory(err):
                raise ProbeError(f"out of memory while trying how replies can be decoded: {err}") from err
            raise
        for way in ways:
            deviation, why = _agreed(model, _num_forwards(way), lambda way=way: _deviation(model, way, certain))  # type: ignore[misc] # lambda with a default
            if deviation is not None and why is None:
                return Proved(way, _note(way), deviation)
            logger.debug("%s: %s", way, why)
    return Proved(sure, _note(sure), 0.0)


def _sure_way(model: Any, prompt: Sequence[int]) -> DecodingWay:
    """The sure way, which gives the model every text alone and whole, as training does."""
    bare = DecodingWay(False, False, None, "", masked=False, placed=False, trims=False, options=switches(model))
    without = replace(bare, options={**bare.options, "use_cache": False})

    def first(way: DecodingWay) -> Tensor:
        log_p_V = Writer(model, way, [prompt], length=len(prompt), num_new=1).first().log_softmax(dim=-1)[0]
        _check_width(model, log_p_V)
        return log_p_V

    def repeat(way: DecodingWay, limit: float) -> None:
        assert plain is not None
        if _relative(first(way), plain) > limit:
            raise ProbeError(
                "this model says something else each time that it is given the same text: something in it is random "
                "in eval mode, or is left from one call to the next."
            )

    plain, why = _agreed(model, 1, lambda: first(bare))
    if why is None:
        _, why = _agreed(model, 1, lambda: repeat(bare, _TOP))
    if why is not None:
        raise ProbeError(why)
    _, why = _agreed(model, 1, lambda: repeat(without, _TOLERANCE))
    return without if why is None else bare


def _certain(
    model: Any, sure: DecodingWay, prompts: Sequence[Sequence[int]], max_new_tokens: int, stops: tuple[int, ...]
) -> _Certain:
    """What the sure way gives for a short and for a long prompt, and the deviation that counts as rounding."""
    why: str | None = "there is none"
    found = []
    for candidates in (_short(prompts), _long(prompts, max_new_tokens)):
        for prompt in candidates:
            said, why = _agreed(model, _NUM_TOKENS, lambda prompt=prompt: _surely(model, sure, prompt, stops))  # type: ignore[misc] # lambda with a default
            if said is not None and why is None:
                found.append((prompt, said))
                break
        else:
            raise ProbeError(str(why))
    texts, said_TV = zip(*found, strict=True)
    certain = _Certain(texts, said_TV, 0.0, stops)
    noise, why = _agreed(model, 2, lambda: _noise(model, sure, certain))
    if why is not None:
        logger.debug("the noise of a call's shape was not measured: %s", why)
    last_place = max(one.last_place for one in said_TV)
    return replace(certain, limit=min(_TOP, max(_TOLERANCE, _TIMES_NOISE * (noise or 0.0), _LAST_PLACES * last_place)))


def _short(prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    ordered = sorted(prompts, key=len)
    for index in _spaced(len(ordered)):
        yield tuple(ordered[index])


def _long(prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Iterator[tuple[int, ...]]:
    """Long prompts to try, the first ones repeated so that the trial reaches as far as any reply will."""
    ordered = sorted(prompts, key=len, reverse=True)
    further = max(0, max_new_tokens - _NUM_TOKENS)
    for index in _spaced(len(ordered)):
        prompt = tuple(ordered[index])
        if further:
            wanted = len(ordered[0]) + further
            yield (prompt * math.ceil(wanted / len(prompt)))[-wanted:]
        yield prompt


def _spaced(number: int) -> list[int]:
    """A few indices, evenly spaced from the first to the last."""
    return sorted({round(i * (number - 1) / (_QUESTIONS_TRIED - 1)) for i in range(_QUESTIONS_TRIED)})


def _surely(model: Any, way: DecodingWay, prompt: tuple[int, ...], stops: tuple[int, ...]) -> _Said:
    """What the sure way gives for a prompt."""
    writer = Writer(model, way, [prompt], length=len(prompt), num_new=_NUM_TOKENS)
    said: list[int] = []
    rows = []
    logits_BV = writer.first()
    last_place = _last_place(logits_BV[0])
    while True:
        log_p_V = logits_BV[0].log_softmax(dim=-1)
        if torch.isnan(log_p_V).any():
            raise ProbeError("the model's logits are not finite, so nothing can be sampled from it.")
        rows.append(log_p_V)
        said.append(_likeliest(log_p_V, (*said, *stops)))
        if len(said) == _NUM_TOKENS:
            return _Said(tuple(said), torch.stack(rows), last_place)
        logits_BV = writer.after(torch.tensor(said[-1:], device=writer.device))


def _likeliest(log_p_V: Tensor, without: Sequence[int]) -> int:
    """The likeliest token outside of some; the likeliest of all if none is left."""
    allowed_V = log_p_V.clone()
    allowed_V[[token for token in without if token < len(allowed_V)]] = -torch.inf
    best = int(allowed_V.argmax())
    return best if torch.isfinite(allowed_V[best]) else int(log_p_V.argmax())


def _noise(model: Any, sure: DecodingWay, certain: _Certain) -> float:
    """How much the shape of a call alone changes, tried with two rows for one and with all tokens at once."""
    prompt, (tokens, log_p_TV, _) = certain.prompts[-1], certain.said[-1]
    twice_BV = Writer(model, sure, [prompt] * 2, length=len(prompt), num_new=1).first().log_softmax(dim=-1)
    noise = max(_relative(log_p_V, log_p_TV[0]) for log_p_V in twice_BV)
    ids_BT = torch.tensor([[*prompt, *tokens[:-1]]], device=log_p_TV.device)
    at_once_TV = logits_of(model(input_ids=ids_BT, **sure.options))[0, -len(tokens) :].float().log_softmax(dim=-1)
    at_once = max(_relative(a, b) for a, b in zip(at_once_TV, log_p_TV, strict=True))
    # More than this is no rounding: the model looks ahead, or works in chunks whose borders depend on the length.
    return max(found if found <= _TOP / _TIMES_NOISE else 0.0 for found in (noise, at_once))


def _last_place(logits_V: Tensor) -> float:
    """The precision of logits as a deviation; it is told by their values, since their dtype may be wider."""
    epsilon = torch.finfo(torch.float32).eps
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(logits_V, logits_V.to(dtype).float()):
            epsilon = torch.finfo(dtype).eps
            break
    finite = logits_V[torch.isfinite(logits_V)]
    size, spread = float(finite.square().mean().sqrt()), _spread(finite)
    return epsilon * size / spread if spread else 0.0


def _faster_ways(model: Any, sure: DecodingWay, prompt: tuple[int, ...]) -> Iterator[DecodingWay]:
    """Ways to try, the fastest first."""
    options = {name: value for name, value in sure.options.items() if name != "use_cache"}
    trims = _trims(model, options, prompt)
    caches = _caches(model, options, prompt)
    fast = DecodingWay(trims=trims, options=options)
    for placed in (True, False):
        for argument, name in caches:
            yield replace(fast, cache=argument, cache_field=name, placed=placed)
    equal = replace(fast, padded=False)
    wrapped = unwrapped(model) is not model and not is_sharded(model)  # the inner part of a sharded model is no root
    for inside in (False, True) if wrapped else (False,):
        for masked, placed in ((False, False), (True, True), (True, False)):
            for argument, name in caches:
                yield replace(
                    equal, cache=argument, cache_field=name, masked=masked, placed=placed, trims=trims, inside=inside
                )
    yield replace(sure, batched=True, trims=trims)


def _trims(model: Any, options: dict[str, Any], prompt: tuple[int, ...]) -> bool:
    """Whether the model obeys `logits_to_keep`, and projects only those positions onto the vocabulary."""

    def positions() -> int:
        ids_BT = torch.tensor([prompt], device=next(model.parameters()).device)
        return int(logits_of(model(input_ids=ids_BT, logits_to_keep=1, **options)).shape[1])

    return len(prompt) > 1 and _agreed(model, 1, positions)[0] == 1


def _caches(model: Any, options: dict[str, Any], prompt: tuple[int, ...]) -> list[tuple[str, str]]:
    """Arguments that may take the cache, each with the field of the output that may hold it."""

    def fields() -> list[str]:
        ids_BT = torch.tensor([prompt], device=next(model.parameters()).device)
        output = model(input_ids=ids_BT, use_cache=True, **options)
        names = list(output.keys()) if hasattr(output, "keys") else list(vars(output))
        return [
            name
            for name in names
            if name not in _NO_CACHE and "hidden_states" not in name and getattr(output, name, None) is not None
        ]

    names = _agreed(model, 1, fields)[0] or []
    arguments = _cache_arguments(model)
    pairs = [(argument, name) for name in names for argument in dict.fromkeys([name, *arguments])]
    return sorted(pairs, key=lambda pair: pair[0] != pair[1])  # the same name first


def _cache_arguments(model: Any) -> list[str]:
    """Arguments whose names sound like a cache, of the model's forward and of those that it inherits."""
    found: dict[str, None] = {}
    for kind in type(unwrapped(model)).__mro__:
        forward = vars(kind).get("forward")
        if forward is None:
            continue
        for name in inspect.signature(forward).parameters:
            sounds = any(part in name for part in ("cache", "past", "state", "mems"))
            if sounds and name not in ("use_cache", "cache_position") and "hidden_states" not in name:
                found[name] = None
    return list(found)


def _num_forwards(way: DecodingWay) -> int:
    return _NUM_TOKENS if way.padded else 2 * _NUM_TOKENS


def _deviation(model: Any, way: DecodingWay, certain: _Certain) -> float:
    """The largest deviation of a way from the sure one.

    Raises:
        ProbeError: The deviation is more than rounding.
    """
    both = range(len(certain.prompts))
    worst = 0.0
    # There are two rows in any case: padded to one length, or the same prompt twice if rows must be of one length.
    for rows in [list(both)] if way.padded else [[row, row] for row in both]:
        prompts = [certain.prompts[row] for row in rows]
        length = max(map(len, prompts)) + 2  # an observation pads the longest prompt as well
        writer = Writer(model, way, prompts, length=length, num_new=_NUM_TOKENS)
        logits_BV = writer.first()
        for t in range(_NUM_TOKENS):
            for row, log_p_V in zip(rows, logits_BV.log_softmax(dim=-1), strict=True):
                worst = max(worst, _checked(log_p_V, certain, row, t))
            if t + 1 < _NUM_TOKENS:
                logits_BV = writer.after(
                    torch.tensor([certain.said[row].tokens[t] for row in rows], device=writer.device)
                )
    return worst


def _checked(found_V: Tensor, certain: _Certain, row: int, t: int) -> float:
    """The deviation of one step.

    Raises:
        ProbeError: It is more than rounding, or another token is likeliest by more than that.
    """
    tokens, log_p_TV, _ = certain.said[row]
    true_V = log_p_TV[t]
    deviation = _relative(found_V, true_V)
    if not deviation <= certain.limit:
        raise ProbeError(f"token {t + 1} of prompt {row} deviates by {deviation:.3g}, limit {certain.limit:.3g}")
    token = _likeliest(found_V, (*tokens[:t], *certain.stops))
    gap = float(true_V[tokens[t]] - true_V[token])
    if gap > 2 * _WORST * certain.limit * _spread(true_V):
        raise ProbeError(f"token {t + 1} of prompt {row} is {token}, and {tokens[t]} is likelier by {gap:.3g} nats")
    return deviation


def _relative(found_V: Tensor, true_V: Tensor) -> float:
    """Root mean square of the difference as a share of the spread; infinite if the finite entries differ."""
    finite_V = torch.isfinite(true_V)
    if found_V.shape != true_V.shape or not torch.equal(finite_V, torch.isfinite(found_V)):
        return math.inf
    if not finite_V.any():
        return 0.0
    difference = float((found_V - true_V)[finite_V].double().square().mean().sqrt())
    return difference / max(_spread(true_V), 1e-6)


def _spread(log_p_V: Tensor) -> float:
    finite = log_p_V[torch.isfinite(log_p_V)]
    return float(finite.double().std()) if len(finite) > 1 else 0.0


def _check_width(model: Any, log_p_V: Tensor) -> None:
    """Refuse logits that are as wide as the hidden states, which some trainers' kernels return in place of logits."""
    inner = unwrapped(model)
    config = text_config(inner) if hasattr(inner, "config") else None
    vocabulary, hidden = setting(config, "vocab_size"), setting(config, "hidden_size")
    if isinstance(vocabulary, int) and len(log_p_V) != vocabulary and len(log_p_V) == hidden:
        raise ProbeError(
            f"expected logits over a vocabulary of {vocabulary}; found {len(log_p_V)} figures, which is the width of "
            "the hidden states. Switch off what returns them in the place of logits while driftwatch observes."
        )


def _agreed(model: Any, num_forwards: int, work: Callable[[], T]) -> tuple[T | None, str | None]:
    """The result of work that succeeds on every rank or on none: this rank's result, or why some rank failed.

    Args:
        model: The model.
        num_forwards: Number of forward passes that the work makes if it succeeds.
        work: What to do; the same on every rank.

    Raises:
        ProbeError, RuntimeError: Memory ran out.
    """
    mine: list[T] = []

    def attempt() -> str | None:
        try:
            with in_step(model, num_forwards):
                mine.append(work())
        except Exception as err:  # an architecture may refuse an unusual call with any error
            if is_out_of_memory(err):
                raise
            return str(err) if isinstance(err, ProbeError) else f"{type(err).__name__}: {err}"
        return None

    why = next((why for why in together(attempt, "trying how replies can be decoded") if why is not None), None)
    return (None, why) if why is not None else (mine[0], None)


def _note(way: DecodingWay) -> str | None:
    """What a reader of the run should know about a way that is not the fastest; `None` for the fastest."""
    if way.padded:
        return None
    if way.cache is not None:
        return (
            "padding at the left changes what this model says, so that only questions of one length are decoded "
            "together; replies take longer for it"
        )
    if way.batched:
        return (
            "no cache gives what this model says without one, so that the whole text is read again for every token, "
            "and only questions of one length are decoded together; replies take much longer for it"
        )
    return (
        "texts that are decoded together change each other in this model, so that replies are decoded one at a time "
        "and without a cache; they take many times longer for it"
    )
