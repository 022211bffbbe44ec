"""Sampling: replies sampled in-process by our own decode loop, since `generate` draws from the global generator.

What a reply says depends only on its prompt, the weights and its own row of uniform numbers, which are drawn up front
in the order of the questions. So a seed repeats an observation whatever the batch size. Neither the global generator
nor the model's generation config is touched, and a batch that does not fit into memory is halved without changing an
answer (apart from the rounding of kernels).

Shape letters: Q questions, B rows of a batch, L prompt tokens, T new tokens, V vocabulary.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import ProbeError
from driftwatch.host.ranks import num_ranks
from driftwatch.host.wrappers import model_stop_ids
from driftwatch.replies.decoder import DecodingWay, Writer, batches_of
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.decoding_trial import prove_decoding
from driftwatch.scoring.memory import is_out_of_memory

logger = logging.getLogger(__name__)

# A check whether every row has ended waits for the device, so it is made only every so many tokens.
_STEPS_BETWEEN_CHECKS = 8
# On accelerators, probabilities and uniform numbers become whole numbers of this many bits before they are summed.
# CUDA may add floats in another order every time, and refuses to add them where torch must be deterministic. The
# product of both stays within 63 bits, and rounding down loses less than 1e-6 over a vocabulary of 256,000. A CPU adds
# in a fixed order anyway, and adds floats faster.
_PROBABILITY_BITS, _UNIFORM_BITS = 38, 24
NOT_FINITE = "the model's logits were not finite on the way, so that nothing could be drawn from them"


@dataclass(frozen=True, slots=True)
class Reply:
    """One sampled reply.

    Attributes:
        text: The text, without special tokens and outer white space; may be empty.
        num_tokens: Number of tokens before the one that ended the reply.
        finished: Whether it ended by itself; false if `max_new_tokens` cut it off.
        entropy: Mean entropy of the next-token distribution over its tokens, before temperature and top-p, in nats;
            `None` if it was not measured, since engines do not report it.
        missing: Why there is no reply, in which case `text` is empty; `None` if there is one.
    """

    text: str
    num_tokens: int
    finished: bool
    entropy: float | None
    missing: str | None = field(default=None, kw_only=True)


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
    way: DecodingWay | None = None,
    num_batches: int = 0,
) -> list[Reply]:
    """One reply per question, in order; call it inside the guard.

    If the decoding way pads, every batch has the same shape. If several processes train together, each makes exactly
    `max_new_tokens` forward passes per batch, so that collectives inside the model stay in step as long as all make
    equally many batches.

    Args:
        model: A causal language model, plain or wrapped (PEFT, DDP, FSDP); its own forward is called.
        fmt: Encodes the questions.
        questions: Texts before the chat template.
        generator: A CPU generator; it is advanced by `len(questions) * max_new_tokens` numbers, and no other generator
            is touched.
        uniforms: The uniform numbers themselves, shape (Q, T), in place of a generator; for a rank that asks only some
            of the questions.
        temperature: Sampling temperature; 0 takes the likeliest token.
        top_p: Nucleus mass.
        max_new_tokens: Most tokens of a reply.
        batch_size: Rows decoded together.
        stop_ids: Tokens that end a reply, in addition to those that the template and the model's configs name.
        prompt_length: Pads every prompt to this many tokens; `None` pads to the longest one.
        way: How the model is called, from `prove_decoding`; `None` finds it on these questions, and then every rank
            must call this function.
        num_batches: Fewest batches to make; batches beyond the questions are repeated and their results dropped.

    Returns:
        Replies. One whose logits were not finite is `missing`, and the others are unaffected.

    Raises:
        ProbeError: The model cannot be asked, its replies cannot be proved, or one row does not fit into memory.
    """
    settings = Decoding(temperature, top_p, max_new_tokens, batch_size)
    if not questions:
        return []
    prompts = [fmt.encode(text) for text in questions]
    length = max(prompt_length or 0, *(len(prompt) for prompt in prompts))
    if uniforms is None:
        assert generator is not None, "replies are drawn from a generator or from given numbers, never the global one"
        uniforms = torch.rand(len(prompts), max_new_tokens, generator=generator)
    stops = sorted({*stop_ids, *fmt.stop_ids, *model_stop_ids(model)})
    if way is None:
        way = prove_decoding(model, [*prompts, fmt.encode("?")], max_new_tokens=max_new_tokens, stop_ids=stops).way
    decoder = _Decoder(model, way, settings, stops, length)
    replies: dict[int, Reply] = {}
    waiting = batches_of([len(prompt) for prompt in prompts], way, batch_size)
    waiting += [waiting[-1]] * (num_batches - len(waiting))
    while waiting:
        rows = waiting.pop(0)
        try:
            found = decoder.run([prompts[row] for row in rows], uniforms[rows], fmt)
        except torch.OutOfMemoryError as err:
            decoder = decoder.halved(err)
            left = [row for batch in (rows, *waiting) for row in batch]
            size = decoder.settings.batch_size
            waiting = [[left[i] for i in batch] for batch in batches_of([len(prompts[i]) for i in left], way, size)]
            continue
        replies.update(zip(rows, found, strict=True))
    return [replies[row] for row in range(len(prompts))]


class _Decoder:
    """One model, one way to call it, one setting, one prompt length."""

    def __init__(self, model: Any, way: DecodingWay, settings: Decoding, stops: Sequence[int], length: int) -> None:
        self.model = model
        self.way = way
        self.settings = settings
        self.stops = list(stops)
        self.length = length
        self.device = next(model.parameters()).device
        # Ranks that shard a model must make equally many forward passes, whoever is done first.
        self.in_step = num_ranks() > 1

    def halved(self, err: Exception) -> "_Decoder":
        """The same decoder with half the rows; raises `ProbeError` if that is not possible."""
        size = self.settings.batch_size
        if size == 1 or not self.way.batched or self.in_step:
            # A rank with smaller batches would make more of them, and wait for the others for ever.
            raise ProbeError(
                f"sampling a batch of {size} replies does not fit into memory; lower batch_size or max_new_tokens."
            ) from err
        logger.warning("out of memory while sampling; replies are decoded %d at a time from now on", size // 2)
        return _Decoder(self.model, self.way, replace(self.settings, batch_size=size // 2), self.stops, self.length)

    @torch.no_grad()
    def run(self, prompts: Sequence[tuple[int, ...]], uniforms_BT: Tensor, fmt: ChatFormat) -> list[Reply]:
        """Replies to at most one batch of prompts; a padded batch is filled up with copies, which are dropped."""
        padding = self.settings.batch_size - len(prompts) if self.way.padded else 0
        rows = [*prompts, *([prompts[0]] * padding)]
        uniforms_BT = torch.cat([uniforms_BT, uniforms_BT[:1].expand(padding, -1)]).to(self.device)
        try:
            ids_BT, entropy_BT = self._decode(rows, uniforms_BT)
        except (torch.OutOfMemoryError, ProbeError):
            raise
        except Exception as err:  # the border to a foreign forward
            if is_out_of_memory(err):
                raise torch.OutOfMemoryError(str(err)) from err
            raise ProbeError(f"the model failed while it was asked for replies: {type(err).__name__}: {err}") from err
        pairs = zip(ids_BT[: len(prompts)].tolist(), entropy_BT.tolist(), strict=False)
        return [self._reply(ids, entropies, fmt) for ids, entropies in pairs]

    def _decode(self, rows: Sequence[tuple[int, ...]], uniforms_BT: Tensor) -> tuple[Tensor, Tensor]:
        num_rows, num_new = len(rows), self.settings.max_new_tokens
        ids_BT = torch.zeros(num_rows, num_new, dtype=torch.long, device=self.device)
        entropy_BT = torch.zeros(num_rows, num_new, device=self.device)
        stops = torch.tensor(self.stops, dtype=torch.long, device=self.device)
        ended_B = torch.zeros(num_rows, dtype=torch.bool, device=self.device)
        writer = Writer(self.model, self.way, rows, length=self.length, num_new=num_new)
        logits_BV = writer.first()
        for t in range(num_new):
            ids_BT[:, t] = _choose(logits_BV, uniforms_BT[:, t], self.settings)
            entropy_BT[:, t] = torch.special.entr(logits_BV.softmax(dim=-1)).sum(dim=-1)
            ended_B |= torch.isin(ids_BT[:, t], stops)
            may_stop = not self.in_step and (t + 1) % _STEPS_BETWEEN_CHECKS == 0
            if t + 1 == num_new or (may_stop and bool(ended_B.all())):
                break
            logits_BV = writer.after(ids_BT[:, t])
        return ids_BT.cpu(), entropy_BT.cpu()

    def _reply(self, ids: list[int], entropies: list[float], fmt: ChatFormat) -> Reply:
        end = next((t for t, token in enumerate(ids) if token in self.stops), None)
        num_tokens = len(ids) if end is None else end
        drawn = entropies[: num_tokens + (end is not None)]  # the decision to end was drawn too
        if not all(map(math.isfinite, drawn)):
            return Reply("", 0, False, None, missing=NOT_FINITE)
        said, entropy = ids[:num_tokens], sum(drawn) / len(drawn)
        return Reply(fmt.decode(said), num_tokens, end is not None, entropy, missing=fmt.missing(said))


def _choose(logits_BV: Tensor, uniform_B: Tensor, settings: Decoding, *, whole: bool | None = None) -> Tensor:
    """Token ids, shape (B,), by inverting the cumulative distribution at `uniform_B`.

    Args:
        logits_BV: Logits of the next token.
        uniform_B: Uniform numbers in [0, 1).
        settings: Temperature and nucleus mass.
        whole: Whether to sum whole numbers; `None` does so on accelerators.
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
    # Logits that are not finite would give an index beyond the vocabulary; they are reported later.
    index_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True).clamp(max=cumulative_BV.shape[-1] - 1)
    if order_BV is not None:
        index_B1 = order_BV.gather(-1, index_B1)
    return index_B1[:, 0]
