"""Identity: what two measurements must share to be comparable, and what only explains a difference.

And how the same model is known again: by a few log-likelihoods, its fingerprint, which the same weights give to the
last bits where the same kernels compute them, and up to rounding elsewhere.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftwatch.errors import BaselineError

# In words, for the sentence that refuses a comparison.
PARTS = {
    "pack": "the topic pack (its items or poles)",
    "template": "the chat template or the wrap around the questions",
    "template_source": "the text of the chat template",
    "tokenizer": "the tokenizer's vocabulary",
    "wording": "the wording of the questions",
    "leading_space": "the tokens in which answers follow a question",
    "scoring": "the scored answers",
    "judge": "the judge",
    "sampling": "how replies are sampled",
}
ROUNDING = ("dtype", "attention", "kernels")  # what decides how the same weights are rounded

# Relative. An adapter that is off, or has learned nothing, agrees to the last bit; a step of training shows far above.
NOISE = 1e-5
# Of the mean, where another dtype computes: bfloat16 against float32 moved the demo's fingerprint by 0.010.
OTHER_DTYPE = 0.02
# Of the mean, where only the kernels differ: at most that once, since the weights themselves are not rounded anew.
OTHER_KERNELS = 0.01


def model_identity(model: Any) -> dict[str, str]:
    """What explains a difference between two measurements without forbidding it: weights, dtype, kernels.

    The weights' fingerprint hashes names, shapes and sixteen elements of every tensor; "sharded" where a rank holds
    only a part of them.
    """
    import torch

    from driftwatch.host.fingerprint import parts_of

    digest = hashlib.sha256()
    picks = []
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "placements") or parameter.numel() == 0:  # DTensor, or gathered on demand (ZeRO-3)
            return {**_kinds(model), "weights": "sharded"}
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        whole = parameter.detach()
        for part in (whole,) if whole.layout == torch.strided else parts_of(whole):
            flat = part.reshape(-1)
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


def same_model(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two fingerprints belong to the same weights, computed by the same kernels."""
    return len(first) == len(second) and np.allclose(first, second, rtol=NOISE, atol=0.0, equal_nan=True)


def is_rounding(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two fingerprints differ by no more than rounding in another dtype may do; it proves nothing by itself."""
    a, b = np.array(first), np.array(second)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool(np.abs(b - a).sum() <= OTHER_DTYPE * np.abs(a).sum())


class Recognised(NamedTuple):
    """Whether a model is the one that it was.

    Attributes:
        is_same: Its weights are taken for the same.
        note: What a reader should know about that; `None` where the fingerprints are equal.
    """

    is_same: bool
    note: str | None = None


def recognise(then: Sequence[float], now: Sequence[float], moved: Mapping[str, tuple[str, str]]) -> Recognised:
    """Know a model again by its fingerprint in a run that goes on.

    Only what rounds otherwise than it did may excuse a difference: on the same kernels a difference is another model,
    however small, for example the base with a light adapter merged into it.

    Args:
        then: Fingerprint when the run began.
        now: Fingerprint of what stands there now.
        moved: Parts of the identity that decide about rounding and differ, then and now, from `rounding_moved`.
    """
    if same_model(then, now):
        return Recognised(True)
    before, after = np.array(then), np.array(now)
    if before.shape != after.shape or not np.isfinite(after).all():
        return Recognised(False, "the baseline model that the run began with cannot be asked any more")
    moved_by = float(np.abs(after - before).sum() / np.abs(before).sum())
    found = f"the baseline model's likelihoods differ from those when the run began by {moved_by:.2%}"
    if not moved:
        return Recognised(False, f"{found}, and the same kernels computed both: it is another model")
    parts = ", ".join(f"{part} {a} → {b}" for part, (a, b) in moved.items())
    limit = OTHER_DTYPE if "dtype" in moved else OTHER_KERNELS
    if moved_by <= limit:
        return Recognised(True, f"{found}: taken for rounding ({parts}), for which up to {limit:.0%} is allowed")
    return Recognised(False, f"{found}: more than rounding may do ({parts}; {limit:.0%}), so it is another model")


def rounding_moved(theirs: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What decides about rounding and differs between two identities: by part, their value and ours."""
    pairs = {part: (theirs.get(part, "unknown"), ours.get(part, "unknown")) for part in ROUNDING}
    return {part: pair for part, pair in pairs.items() if pair[0] != pair[1]}


def _kinds(model: Any) -> dict[str, str]:
    config = getattr(model, "config", None)
    first = next(model.parameters(), None)
    return {
        "dtype": str(first.dtype).removeprefix("torch.") if first is not None else "none",
        "attention": str(getattr(config, "_attn_implementation", None)),
        "kernels": _kernels(first.device) if first is not None else "none",
    }


def _kernels(device: Any) -> str:
    """Hardware and library, and what else shapes a sum: threads, processes, accelerate's precision."""
    import torch

    from driftwatch.host.ranks import num_ranks

    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        hardware = f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    else:
        hardware = device.type
    accelerate = sys.modules.get("accelerate.state")  # who has not loaded it computes without it
    precision = "no"
    if accelerate is not None and accelerate.is_initialized():
        precision = accelerate.AcceleratorState().mixed_precision
    return f"{hardware}, torch {torch.__version__}, {num_ranks()} processes, mixed precision {precision}"
