"""Checks whether a model can take the prompts at all, and says so in a sentence before anything is computed.

Without this check, the first observation would end in an IndexError from torch, or on a GPU in an assertion that
leaves the process unusable.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from driftwatch.errors import UnfitError
from driftwatch.host.configs import setting, text_config

if TYPE_CHECKING:
    from driftwatch.chat.format import ChatFormat


def check_fits(model: Any, chat: "ChatFormat", rows: Sequence[Sequence[int]], *, new_tokens: int = 0) -> None:
    """Check that every token has an embedding, and that the longest row does not need more positions than there are.

    Args:
        model: A causal language model, plain or wrapped.
        chat: The format that encoded the rows.
        rows: Token ids of each prompt.
        new_tokens: Tokens that are written after each row.

    Raises:
        UnfitError: A token or a row does not fit.
    """
    rows = [row for row in rows if len(row)]
    if not rows:
        return
    size, highest = _num_embeddings(model), max(map(max, rows))
    if size is not None and highest >= size:
        token = chat.token(highest)
        raise UnfitError(
            f"expected the model to have an embedding for every token of the prompts; found token {token!r} with id "
            f"{highest}, and embeddings for the ids below {size}. Call "
            "model.resize_token_embeddings(len(tokenizer)) before training, or use the tokenizer and chat template "
            "that belong to the model."
        )
    positions, longest = _num_positions(model), max(map(len, rows)) + new_tokens
    if positions is not None and longest > positions:
        written = f", of which {new_tokens} are written in reply" if new_tokens else ""
        raise UnfitError(
            f"expected every question to fit the model's {positions} positions (max_position_embeddings); found one "
            f"that needs {longest}{written}. Shorten the wrap (system, turns), lower max_new_tokens, or leave the "
            "longest items out of the pack."
        )


def _num_embeddings(model: Any) -> int | None:
    """Rows of the input embeddings; `None` if they cannot be counted."""
    get = getattr(model, "get_input_embeddings", None)
    try:
        weight = getattr(get() if callable(get) else None, "weight", None)
    except (NotImplementedError, AttributeError):
        weight = None
    # Under ZeRO-3, only the shape of a weight is at hand.
    shape = getattr(weight, "ds_shape", None) or getattr(weight, "shape", None)
    if shape is not None and len(shape) == 2 and shape[0] > 0:
        return int(shape[0])
    return _setting(model, "vocab_size")


def _num_positions(model: Any) -> int | None:
    """Positions that the model was made for; `None` if it has no bound."""
    return _setting(model, "max_position_embeddings")


def _setting(model: Any, name: str) -> int | None:
    """A whole number over 0 from the config of the text part; `None` if there is none."""
    value = setting(text_config(model), name) if hasattr(model, "config") else None
    return value if isinstance(value, int) and value > 0 else None
