"""Replies sampled in-process: an own decode loop, since `generate` draws from the global generator.

What a reply says depends on its prompt, the weights and its own row of uniform numbers, drawn up front in the order of
the questions. So a seed repeats a look whatever the batch size, neither the global generator nor the model's generation
config is touched, and a batch that does not fit is halved without changing an answer (but for the kernels' rounding).

Shape letters: Q questions, B rows of a batch, L prompt tokens, T new tokens, V vocabulary.
"""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.probes.prompt import ChatFormat

logger = logging.getLogger(__name__)

# Looking whether every row has ended costs one wait for the device, so it is done this often.
_STEPS_BETWEEN_CHECKS = 8
# On accelerators probabilities and uniform numbers become whole numbers of this many bits before they are summed up:
# CUDA may add floats in another order every time, and refuses to where torch must be deterministic. Their product stays
# within 63 bits, and what rounding down takes from a vocabulary of 256,000 is under 1e-6. A CPU keeps one order anyway,
# and adds floats faster.
_PROBABILITY_BITS, _UNIFORM_BITS = 38, 24


@dataclass(frozen=True, slots=True)
class Reply:
    """One sampled reply.

    Attributes:
        text: Special tokens removed, outer white space stripped; may be empty.
        num_tokens: Tokens before the one that ended it.
        finished: It ended by itself; False where `max_new_tokens` cut it.
        entropy: Mean entropy of the next-token distribution over its tokens, before temperature and top-p; nats. `None`
            where it was not measured: an engine does not tell it.
    """

    text: str
    num_tokens: int
    finished: bool
    entropy: float | None


@dataclass(frozen=True, slots=True)
class Decoding:
    """How replies are sampled; part of the baseline's identity.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: Nucleus mass; 1 leaves the distribution whole and saves a sort a token.
        max_new_tokens: Longest reply.
        batch_size: Rows decoded together; halved where memory does not suffice.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    max_new_tokens: int = 24
    batch_size: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be 0 or more; found {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be over 0 and at most 1; found {self.top_p}.")
        if self.max_new_tokens < 1 or self.batch_size < 1:
            raise ConfigError(
                f"max_new_tokens and batch_size must be 1 or more; found {self.max_new_tokens} and {self.batch_size}."
            )

    def __str__(self) -> str:
        return f"temperature={self.temperature:g} top_p={self.top_p:g} max_new_tokens={self.max_new_tokens}"


def sample(
    model: Any,
    fmt: ChatFormat,
    questions: Sequence[str],
    *,
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
    temperature: float = 0.7,
    top_p: float = 1.0,
    max_new_tokens: int = 24,
    batch_size: int = 32,
    stop_ids: Sequence[int] = (),
    prompt_length: int | None = None,
) -> list[Reply]:
    """One reply a question, in order; to be called inside the guard.

    Every batch has the same shape. Where several processes train together each makes exactly `max_new_tokens` forward
    passes a batch, so that collectives inside the model stay in step as long as each is given equally many questions.

    Args:
        model: A causal language model, plain or wrapped (PEFT, DDP, FSDP); its own forward is called.
        fmt: Encodes the questions.
        questions: Texts before the chat template.
        generator: A CPU generator; advanced by `len(questions) * max_new_tokens` numbers, nothing else is.
        uniforms: Those numbers themselves instead, shape (Q, T), for a rank that asks only some of the questions.
        temperature: 0 takes the likeliest token.
        top_p: Nucleus mass.
        max_new_tokens: Longest reply.
        batch_size: Rows decoded together.
        stop_ids: Tokens that end a reply, beside those that the model's own configs name.
        prompt_length: Pads every prompt to this many tokens; `None` pads to the longest one.

    Raises:
        ProbeError: The model returns no finite logits, or one row does not fit into memory.
    """
    settings = Decoding(temperature, top_p, max_new_tokens, batch_size)
    if not questions:
        return []
    prompts = [fmt.encode(text) for text in questions]
    length = max(prompt_length or 0, *(len(prompt) for prompt in prompts))
    if uniforms is None:
        assert generator is not None, "replies are drawn from a generator or from given numbers, never the global one"
        uniforms = torch.rand(len(prompts), max_new_tokens, generator=generator)
    stops = sorted({*stop_ids, *model_stop_ids(model)})
    decoder = _Decoder(model, settings, stops, length)
    replies: list[Reply] = []
    while len(replies) < len(prompts):
        rows = slice(len(replies), len(replies) + decoder.settings.batch_size)
        try:
            replies += decoder.run(prompts[rows], uniforms[rows], fmt)
        except torch.OutOfMemoryError as err:
            decoder = decoder.halved(err)
    return replies


def model_stop_ids(model: Any) -> set[int]:
    """The end-of-text tokens that a model's config and generation config name."""
    inner = unwrapped(model)
    found: set[int] = set()
    for config in (getattr(inner, "config", None), getattr(inner, "generation_config", None)):
        ids = getattr(config, "eos_token_id", None)
        found |= {ids} if isinstance(ids, int) else set(ids or ())
    return found


def unwrapped(model: Any) -> Any:
    """The transformers model inside compile, DDP, FSDP and PEFT wrappers; for its config and signature only."""
    while True:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        if inner is None or inner is model:
            return model
        model = inner


class _Decoder:
    """One model, one setting, one prompt length: batches of one shape."""

    def __init__(self, model: Any, settings: Decoding, stops: Sequence[int], length: int) -> None:
        self.model = model
        self.settings = settings
        self.stops = list(stops)
        self.length = length
        self.device = next(model.parameters()).device
        self.accepted = frozenset(inspect.signature(type(unwrapped(model)).forward).parameters)
        # Ranks that shard a model must make equally many forward passes, whoever is done first.
        self.in_step = torch.distributed.is_available() and torch.distributed.is_initialized()

    def halved(self, err: Exception) -> "_Decoder":
        """The same with half the rows; raises `ProbeError` where that cannot be done."""
        size = self.settings.batch_size
        if size == 1 or self.in_step:  # one rank with smaller batches would wait for ever for the others
            raise ProbeError(
                f"sampling a batch of {size} replies does not fit into memory; lower batch_size or max_new_tokens."
            ) from err
        logger.warning("out of memory while sampling; replies are decoded %d at a time from now on", size // 2)
        return _Decoder(self.model, replace(self.settings, batch_size=size // 2), self.stops, self.length)

    @torch.no_grad()
    def run(self, prompts: Sequence[tuple[int, ...]], uniforms_BT: Tensor, fmt: ChatFormat) -> list[Reply]:
        """Replies to at most one batch of prompts; missing rows are filled with copies and dropped."""
        size = self.settings.batch_size
        padding = size - len(prompts)
        rows = [*prompts, *([prompts[0]] * padding)]
        uniforms_BT = torch.cat([uniforms_BT, uniforms_BT[:1].expand(padding, -1)]).to(self.device)
        ids_BT, entropy_BT = self._decode(rows, uniforms_BT)
        if torch.isnan(entropy_BT[: len(prompts)]).any():
            raise ProbeError("the model's logits are not finite, so nothing can be sampled from it.")
        pairs = zip(ids_BT[: len(prompts)].tolist(), entropy_BT.tolist(), strict=False)
        return [self._reply(ids, entropies, fmt) for ids, entropies in pairs]

    def _decode(self, rows: Sequence[tuple[int, ...]], uniforms_BT: Tensor) -> tuple[Tensor, Tensor]:
        num_rows, num_new = len(rows), self.settings.max_new_tokens
        # Left padding, so that every row's newest token stands in the last column.
        prompt_BL = torch.tensor([[0] * (self.length - len(row)) + list(row) for row in rows], device=self.device)
        starts_B1 = torch.tensor([[self.length - len(row)] for row in rows], device=self.device)
        mask = (torch.arange(self.length + num_new, device=self.device) >= starts_B1).long()
        ids_BT = torch.zeros(num_rows, num_new, dtype=torch.long, device=self.device)
        entropy_BT = torch.zeros(num_rows, num_new, device=self.device)
        stops = torch.tensor(self.stops, dtype=torch.long, device=self.device)
        ended_B = torch.zeros(num_rows, dtype=torch.bool, device=self.device)
        step_ids, past, start = prompt_BL, None, 0
        for t in range(num_new):
            until = self.length + t
            logits_BV, past = self._forward(step_ids, mask[:, :until], start, past)
            ids_BT[:, t] = _choose(logits_BV, uniforms_BT[:, t], self.settings)
            entropy_BT[:, t] = torch.special.entr(logits_BV.softmax(dim=-1)).sum(dim=-1)
            ended_B |= torch.isin(ids_BT[:, t], stops)
            may_stop = not self.in_step and (t + 1) % _STEPS_BETWEEN_CHECKS == 0
            if may_stop and bool(ended_B.all()):
                break
            if past is None:  # a model without a cache reads everything again
                step_ids, start = torch.cat([prompt_BL, ids_BT[:, : t + 1]], dim=1), 0
            else:
                step_ids, start = ids_BT[:, t : t + 1], until
        return ids_BT.cpu(), entropy_BT.cpu()

    def _forward(self, ids: Tensor, mask: Tensor, start: int, past: Any) -> tuple[Tensor, Any]:
        """Logits of the newest token, float32, shape (B, V), and the cache; `None` where the model keeps none."""
        arguments = {
            "attention_mask": mask,
            "position_ids": (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, start:],
            "past_key_values": past,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        output = self.model(input_ids=ids, **{k: v for k, v in arguments.items() if k in self.accepted})
        logits = getattr(output, "logits", None)
        if logits is None or logits.numel() == 0:
            raise ProbeError(
                "the model returned no logits; fused-loss kernels that skip them must be off while driftwatch looks."
            )
        return logits[:, -1].float(), getattr(output, "past_key_values", None)

    def _reply(self, ids: list[int], entropies: list[float], fmt: ChatFormat) -> Reply:
        end = next((t for t, token in enumerate(ids) if token in self.stops), None)
        num_tokens = len(ids) if end is None else end
        drawn = entropies[: num_tokens + (end is not None)]  # the decision to end was drawn too
        return Reply(fmt.decode(ids[:num_tokens]), num_tokens, end is not None, sum(drawn) / len(drawn))


def _choose(logits_BV: Tensor, uniform_B: Tensor, settings: Decoding, *, whole: bool | None = None) -> Tensor:
    """Token ids, shape (B,), by inverting the cumulative distribution at `uniform_B`.

    Args:
        logits_BV: Of the next token.
        uniform_B: In [0, 1).
        settings: Temperature and nucleus.
        whole: Sum up whole numbers; `None` does on accelerators.
    """
    if settings.temperature == 0:
        return logits_BV.argmax(dim=-1)
    whole = logits_BV.device.type != "cpu" if whole is None else whole
    mass_BV = (logits_BV / settings.temperature).softmax(dim=-1)
    order_BV, nucleus = None, settings.top_p
    if nucleus < 1:
        mass_BV, order_BV = mass_BV.sort(dim=-1, descending=True, stable=True)
    if whole:
        mass_BV, nucleus = (mass_BV * 2**_PROBABILITY_BITS).long(), max(1, int(nucleus * 2**_PROBABILITY_BITS))
    if order_BV is not None:
        before_BV = mass_BV.cumsum(dim=-1) - mass_BV
        mass_BV = mass_BV.where(before_BV < nucleus, 0)
    cumulative_BV = mass_BV.cumsum(dim=-1)
    if whole:
        target_B1 = (uniform_B[:, None] * 2**_UNIFORM_BITS).long() * cumulative_BV[:, -1:] >> _UNIFORM_BITS
    else:
        target_B1 = uniform_B[:, None] * cumulative_BV[:, -1:]
    # Logits that are not finite leave the vocabulary here, and are said afterwards.
    index_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True).clamp(max=cumulative_BV.shape[-1] - 1)
    if order_BV is not None:
        index_B1 = order_BV.gather(-1, index_B1)
    return index_B1[:, 0]
