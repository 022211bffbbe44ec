"""How much memory a forward pass takes, estimated from the model's config, and what to do if it was too much."""

import gc
from dataclasses import dataclass
from typing import Any

import torch

from driftwatch.host.configs import setting, text_config
from driftwatch.scoring.batches import Fits, Size

# An observation may take this share of the model's own size on top of what training holds. The documentation promises a
# quarter; the rest is room for what the estimate does not see: buffers inside kernels and the allocator's rounding.
SHARE_OF_MODEL = 1 / 5
# Logits are normalized in pieces of this many bytes in float32.
PIECE_BYTES = 2**23
# Assumed if a config names no such size: larger than in models that are trained with driftwatch.
_UNKNOWN_LAYERS, _UNKNOWN_WIDTH = 128, 16_384
# Sizes of heads beside the ordinary ones: in full-attention layers (Gemma 4) and latent attention (DeepSeek).
_FURTHER_HEADS = ("global_head_dim", "qk_head_dim", "v_head_dim")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a forward pass holds at its peak, by what they grow with.

    Attributes:
        token: Bytes of a token's activations in the widest layer.
        logits: Bytes of one position's logits, as the model returns them.
        exact_logits: Bytes of the same in float32, as they are normalized.
        pair: Bytes of one query-key pair: of the mask, and of the scores if the attention keeps them.
        cached: Bytes of one cached token in all layers; 0 if nothing is kept.
    """

    token: int
    logits: int
    exact_logits: int
    pair: int
    cached: int

    def of(self, size: Size) -> int:
        """Bytes at the peak of a pass, without the model itself."""
        tokens, kept = size.rows * size.tokens, size.rows * size.kept
        pairs = tokens * (size.before + size.tokens)
        cached = size.rows * (size.before + size.tokens)
        # All logits as returned, and one piece of them in float32 with its exponentials.
        logits = kept * self.logits + 2 * min(PIECE_BYTES, kept * self.exact_logits)
        # Logits are made after the layers, so the larger of the two counts; masks and caches stay all the time.
        return max(tokens * self.token, logits) + pairs * self.pair + cached * self.cached


def footprint(model: Any, *, logit_bytes: int, keeps_cache: bool, additive_mask: bool) -> Footprint:
    """An estimate from the config, on the high side; if layers differ, the largest counts.

    If a config does not name sizes, the estimate rests on the model's weights alone. A batch that is too large after
    all is halved when memory runs out.

    Args:
        model: Any causal language model.
        logit_bytes: Bytes of one logit as the model returns it.
        keeps_cache: Whether the pass leaves keys and values of all layers in a cache.
        additive_mask: Whether the mask has numbers instead of bits.
    """
    config = text_config(model)
    item = _item_size(model)
    hidden = _positive(config, "hidden_size") or _widest(model)
    heads = _positive(config, "num_attention_heads") or 1
    head_dim = max(
        _positive(config, "head_dim") or hidden // heads, *(_positive(config, name) or 0 for name in _FURTHER_HEADS)
    )
    key_heads = max(_positive(config, "num_key_value_heads") or heads, _positive(config, "num_global_key_value_heads"))
    layers = _positive(config, "num_hidden_layers") or _UNKNOWN_LAYERS
    vocabulary = _positive(config, "vocab_size") or _vocabulary(model) or hidden
    experts = _positive(config, "num_experts_per_tok")
    eager = setting(config, "_attn_implementation") == "eager"
    softcap = setting(config, "final_logit_softcapping")
    return Footprint(
        # Residual, normed copy, attention's inputs and outputs; gate, up, their product and its input; experts' copies.
        token=item * (6 * hidden + 4 * _inner_size(config, hidden) + 4 * heads * head_dim + 3 * experts * hidden),
        logits=vocabulary * logit_bytes * (2 if softcap else 1),
        exact_logits=vocabulary * 4,
        pair=(item if additive_mask else 1) + (heads * (item + 8) if eager else item),
        cached=2 * item * key_heads * head_dim * layers if keeps_cache else 0,
    )


def _inner_size(config: Any, hidden: int) -> int:
    """Width of the feed-forward layers that one token goes through."""
    dense = _positive(config, "intermediate_size") or 4 * hidden
    return max(dense, _positive(config, "num_experts_per_tok") * (_positive(config, "moe_intermediate_size") or dense))


def _positive(config: Any, name: str) -> int:
    """A size that a config names, the largest if it names one for each layer; 0 if it names none."""
    found = setting(config, name, 0)
    values = found if isinstance(found, (list, tuple)) else [found]
    return max((int(value) for value in values if isinstance(value, (int, float)) and value > 0), default=0)


def _item_size(model: Any) -> int:
    """Bytes of one activation, taken from the embeddings, which no quantisation packs."""
    weight = getattr(model.get_input_embeddings(), "weight", None)
    return 4 if weight is None or not weight.is_floating_point() else int(weight.element_size())


def _widest(model: Any) -> int:
    """The largest dimension of the weights except the vocabulary: at least that of a hidden state."""
    vocabulary = _vocabulary(model)
    widths = [max(p.shape) for p in model.parameters() if p.dim() == 2 and vocabulary not in p.shape]
    return max(widths, default=_UNKNOWN_WIDTH)


def _vocabulary(model: Any) -> int:
    """Rows of the input embeddings; 0 if they cannot be told."""
    weight = getattr(model.get_input_embeddings(), "weight", None)
    return 0 if weight is None or weight.dim() != 2 else int(weight.shape[0])


def fits_within(footprint: Footprint, max_tokens: int, max_bytes: int) -> Fits:
    """A function that says whether a pass stays within both bounds."""

    def fits(size: Size) -> bool:
        return size.rows * size.tokens <= max_tokens and footprint.of(size) <= max_bytes

    return fits


def model_bytes(model: Any) -> int:
    """Bytes of a model's weights; of the whole model, even if it is sharded over ranks."""
    # ZeRO-3 empties a parameter between its uses and keeps its size beside it.
    sizes = ((getattr(parameter, "ds_numel", parameter.numel()), parameter) for parameter in model.parameters())
    return sum(numel * parameter.element_size() for numel, parameter in sizes)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up: CUDA's raises its own type of error, the CPU's is known by its sentence."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def give_back() -> None:
    """Return freed blocks to the device, so that a smaller attempt finds room in one piece."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
