"""Identity: what two measurements must share to be comparable, and what only explains a difference."""

import hashlib
from typing import Any

from driftwatch.errors import BaselineError

# In words, for the sentence that refuses a comparison.
PARTS = {
    "pack": "the topic pack (its items or poles)",
    "template": "the chat template or the wrap around the questions",
    "tokenizer": "the tokenizer's vocabulary",
    "wording": "the wording of the questions",
    "leading_space": "the space before an answer",
    "scoring": "the scored answers",
    "judge": "the judge",
    "sampling": "how replies are sampled",
}


def model_identity(model: Any) -> dict[str, str]:
    """What explains a difference between two measurements without forbidding it: weights, dtype, attention kind.

    The weights' fingerprint hashes names, shapes and sixteen elements of every tensor; "sharded" where a rank holds
    only a part of them.
    """
    import torch

    digest = hashlib.sha256()
    picks = []
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "placements") or parameter.numel() == 0:  # DTensor, or gathered on demand (ZeRO-3)
            return {**_kinds(model), "weights": "sharded"}
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        flat = parameter.detach().reshape(-1)
        picks.append(flat[:: max(1, flat.numel() // 16)][:16].to(torch.float32))
    if picks:
        digest.update(torch.cat([pick.to(picks[0].device) for pick in picks]).cpu().numpy().tobytes())
    return {**_kinds(model), "weights": digest.hexdigest()[:16]}


def check_comparable(theirs: dict[str, str], ours: dict[str, str], *, whose: str) -> None:
    """Refuse to compare what was asked or read differently.

    Args:
        theirs: Identity of the stored baseline.
        ours: Identity of this run.
        whose: Which baseline that is, for the message.

    Raises:
        BaselineError: A part of `PARTS` differs, named in the sentence.
    """
    for part, words in PARTS.items():
        # What only one of them measured is not compared; a baseline without replies still serves the screen.
        for key in sorted(k for k in theirs if k in ours and k.split("/")[-1] == part):
            if theirs[key] != ours[key]:
                raise BaselineError(
                    f"the baseline {whose} cannot be compared with this run: {words} differs "
                    f"({key}: baseline {theirs[key]}, this run {ours[key]}). "
                    "Make a baseline with the present settings: driftwatch baseline MODEL --pack PACK --out DIR."
                )


def _kinds(model: Any) -> dict[str, str]:
    config = getattr(model, "config", None)
    first = next(model.parameters(), None)
    return {
        "dtype": str(first.dtype).removeprefix("torch.") if first is not None else "none",
        "attention": str(getattr(config, "_attn_implementation", None)),
    }
