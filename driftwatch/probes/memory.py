"""What a forward pass takes in memory, estimated from the model's config, and what to do when it was too much."""

import gc
from dataclasses import dataclass
from typing import Any

import torch

from driftwatch.probes.batches import Fits, Size

# A look may take this share of the model's own size on top of what training holds. It leaves room, below the quarter
# that is promised, for what the estimate does not see: buffers inside kernels and the allocator's rounding.
SHARE_OF_MODEL = 1 / 5
# Logits are normalized in pieces of this many bytes in float32.
PIECE_BYTES = 2**23


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a forward pass holds at its peak, by what they grow with.

    Attributes:
        token: A token's activations in the widest layer.
        logits: One position's logits, as the model returns them.
        exact_logits: The same in float32, as they are normalized.
        pair: One query-key pair: the mask, and the scores where the attention keeps them.
        cached: One cached token in all layers; 0 where nothing is kept.
    """

    token: int
    logits: int
    exact_logits: int
    pair: int
    cached: int

    def of(self, size: Size) -> int:
        """Bytes at the peak of a pass, the model itself not counted."""
        tokens, kept = size.rows * size.tokens, size.rows * size.kept
        pairs = tokens * (size.before + size.tokens)
        cached = size.rows * (size.before + size.tokens)
        # A piece and its exponentials.
        logits = kept * self.logits + 2 * min(PIECE_BYTES, kept * self.exact_logits)
        # Layers are done when logits are made, so the larger of the two counts; masks and caches stay throughout.
        return max(tokens * self.token, logits) + pairs * self.pair + cached * self.cached


def footprint(model: Any, *, logit_bytes: int, keeps_cache: bool, additive_mask: bool) -> Footprint:
    """An estimate from the config, on the high side.

    Args:
        model: Any causal language model.
        logit_bytes: Bytes of one logit as the model returns it.
        keeps_cache: Whether the pass leaves keys and values of all layers in a cache.
        additive_mask: Whether the mask has numbers instead of bits.
    """
    config = text_config(model)
    item = model.get_input_embeddings().weight.element_size()
    hidden = config.hidden_size
    heads = getattr(config, "num_attention_heads", None) or 1
    head_dim = getattr(config, "head_dim", None) or hidden // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    experts = getattr(config, "num_experts_per_tok", None) or 0
    eager = getattr(config, "_attn_implementation", None) == "eager"
    softcap = getattr(config, "final_logit_softcapping", None)
    return Footprint(
        # Residual, normed copy and attention's in- and outputs; gate, up, their product and its input; experts' copies.
        token=item * (6 * hidden + 4 * _inner_size(config, experts) + 4 * heads * head_dim + 3 * experts * hidden),
        logits=int(config.vocab_size) * logit_bytes * (2 if softcap else 1),
        exact_logits=int(config.vocab_size) * 4,
        pair=(item if additive_mask else 1) + (heads * (item + 8) if eager else item),
        cached=2 * item * key_heads * head_dim * config.num_hidden_layers if keeps_cache else 0,
    )


def _inner_size(config: Any, experts: int) -> int:
    """Width of the feed-forward layers that one token goes through."""
    found = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    dense = max(found) if isinstance(found, list) else int(found)
    return max(dense, experts * (getattr(config, "moe_intermediate_size", None) or dense))


def fits_within(footprint: Footprint, max_tokens: int, max_bytes: int) -> Fits:
    """Whether a pass stays below both bounds."""

    def fits(size: Size) -> bool:
        return size.rows * size.tokens <= max_tokens and footprint.of(size) <= max_bytes

    return fits


def model_bytes(model: Any) -> int:
    """Size of a model's weights, of the whole model where it is sharded over ranks."""
    # ZeRO-3 empties a parameter between its uses and keeps its size beside it.
    sizes = ((getattr(parameter, "ds_numel", parameter.numel()), parameter) for parameter in model.parameters())
    return sum(numel * parameter.element_size() for numel, parameter in sizes)


def text_config(model: Any) -> Any:
    """The config of the part that reads text."""
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up: CUDA's has an error type, the CPU's a sentence."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def give_back() -> None:
    """Return freed blocks to the device, so that a smaller attempt finds room in one piece."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
