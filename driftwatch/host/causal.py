"""Tries whether a model is a causal language model: what comes later in a text must change nothing before it.

Neither a class's name nor a config tells: masked language models have a head over the vocabulary, embedding models are
plain modules, and a BERT can be made a decoder. Only if the trial succeeds does the model give a text a likelihood.
"""

from typing import Any

import numpy as np
import torch

from driftwatch.host.guard import undisturbed
from driftwatch.host.switches import logits_of

TEXTS = ("The street is wide and the trees in it are green", " because nobody asked the town for more of them")
TOKENS = 8  # tokens of each text
# Largest allowed change of earlier logits, in their standard deviations: equal rows round alike, and a model that looks
# ahead moves them by far more. Chosen.
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-4}
COARSE = 2e-2


class NotAsked(Exception):
    """The model could not be tried; the message says why."""


def why_not_causal(model: Any, tokenizer: Any, *, optimizer: Any = None) -> str | None:
    """Why a model is no causal language model, as the end of a sentence; `None` if it is one. Call it on every rank.

    Args:
        model: The model in training, wrapped or not.
        tokenizer: The model's tokenizer.
        optimizer: The optimizer in use; only schedule-free ones are needed.

    Raises:
        NotAsked: The model's forward takes no token ids, or fails on them.
    """
    text = getattr(tokenizer, "tokenizer", tokenizer)
    try:
        tokens = [list(text.encode(one, add_special_tokens=False))[:TOKENS] for one in TEXTS]
        before, after = (one[: min(map(len, tokens))] for one in tokens)
        rows = torch.tensor([before + after, before + before[::-1]])
        with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
            logits = [_logits(asked, row[None]) for row in rows]
    except Exception as err:
        raise NotAsked(f"its forward cannot be given a text ({type(err).__name__}: {err})") from err
    first, second = logits
    if first is None or second is None:
        return "its forward gives no logits"
    if first.ndim != 3 or first.shape[1] < rows.shape[1] or first.shape[-1] <= int(rows.max()):
        return (
            f"its forward gives figures of the shape {tuple(first.shape)}, and not one for each token of the vocabulary"
        )
    kept = len(before)
    first, second = (one[0, -rows.shape[1] :][:kept] for one in logits if one is not None)
    spread = float(first.float().std())
    if not np.isfinite(spread) or spread == 0.0:
        return None  # these logits tell nothing; the first observation will say what is wrong
    moved = float((first.float() - second.float()).abs().max()) / spread
    if moved > ROUNDING.get(first.dtype, COARSE):
        return "it reads a text in both directions, so that what comes later changes the figures of what stands before"
    return None


def _logits(model: Any, ids: torch.Tensor) -> torch.Tensor | None:
    devices = (weight.device for weight in model.parameters())
    device = next((device for device in devices if device.type != "meta"), torch.device("cpu"))
    output = model(input_ids=ids.to(device), attention_mask=torch.ones_like(ids).to(device))
    found = logits_of(output)
    return found if isinstance(found, torch.Tensor) else None
