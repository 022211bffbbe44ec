"""Identity: what two measurements must share to be comparable, and what only explains a difference.

A model is recognised by its fingerprint, a few log-likelihoods. The same weights give the same fingerprint, to the last
bits if the same kernels compute it, and otherwise up to rounding.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftwatch.errors import BaselineError

# The parts that must be equal, in words for the sentence that refuses a comparison.
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
ROUNDING = ("dtype", "attention", "kernels")  # what decides how results of the same weights are rounded

# Relative tolerance for the same model. An adapter that is off, or has learned nothing, agrees to the last bit; a step
# of training differs by far more.
NOISE = 1e-5
# Share of the mean that may differ with another dtype: bfloat16 against float32 moved the demo's fingerprint by 0.010.
OTHER_DTYPE = 0.02
# Share of the mean that may differ with other kernels alone: that 0.010 at most, since weights are not rounded again.
OTHER_KERNELS = 0.01


def model_identity(model: Any) -> dict[str, str]:
    """What explains a difference between two measurements without forbidding it: weights, dtype, kernels.

    The entry for the weights is a hash of names, shapes and sixteen elements of every tensor; it is "sharded" if a rank
    holds only a part of them.
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
    """Refuse to compare measurements that were asked or judged differently.

    Args:
        theirs: Identity of the stored baseline.
        ours: Identity of this run.
        whose: What the message calls the baseline.

    Raises:
        BaselineError: A part of `PARTS` differs; the message names it.
    """
    for part, words in PARTS.items():
        # Parts that only one of the two has are not compared; a baseline without replies still serves the screen.
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
    """Whether two fingerprints differ by no more than another dtype can cause; this alone proves nothing."""
    a, b = np.array(first), np.array(second)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool(np.abs(b - a).sum() <= OTHER_DTYPE * np.abs(a).sum())


class Recognised(NamedTuple):
    """Whether a model is still the same.

    Attributes:
        is_same: Whether its weights are taken for the same.
        note: What a reader should know about that; `None` if the fingerprints are equal.
    """

    is_same: bool
    note: str | None = None


def recognise(then: Sequence[float], now: Sequence[float], moved: Mapping[str, tuple[str, str]]) -> Recognised:
    """Recognise a model by its fingerprint in a run that is resumed.

    Only a change in what decides about rounding may explain a difference. With the same kernels, any difference means
    another model, however small it is: for example, the base with a light adapter merged into it.

    Args:
        then: Fingerprint when the run began.
        now: Fingerprint of the model that is there now.
        moved: Parts of the identity that decide about rounding and have changed, from `rounding_moved`.
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
    """The parts that decide about rounding and differ between two identities, each with their value and ours."""
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
    """Hardware, library and all else that decides how sums are rounded: threads, processes, accelerate's precision."""
    import torch

    from driftwatch.host.ranks import num_ranks

    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        hardware = f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    else:
        hardware = device.type
    accelerate = sys.modules.get("accelerate.state")  # a process that has not loaded it computes without it
    precision = "no"
    if accelerate is not None and accelerate.is_initialized():
        precision = accelerate.AcceleratorState().mixed_precision
    return f"{hardware}, torch {torch.__version__}, {num_ranks()} processes, mixed precision {precision}"
