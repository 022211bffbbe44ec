"""Checks, by transformers' own report, that a folder holds all weights of the model that is loaded from it.

transformers fills what is missing with random numbers and prints a table. A baseline of random weights would make every
later comparison wrong, so driftwatch raises an error instead.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from driftwatch.errors import ConfigError

_SHOWN = 3  # names that a message lists
# What wrappers put before every name, and how to save without them.
_PREFIXES = {
    "_orig_mod.": "it was saved from a compiled model; save model._orig_mod instead",
    "pretrained_model.": "it was saved from a model with a value head; save its pretrained_model instead",
    "module.": "it was saved from a wrapper that trains on several devices; save its module instead",
    "base_model.model.": "it was saved from a PEFT model without its base; save the adapter, or merge it first",
    "policy.": "it was saved from a wrapper around policy and value model; save its policy instead",
}
# Buffers that older versions of transformers saved and newer ones compute.
_COMPUTED = ("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias")


def check_whole(report: Mapping[str, Any], name: str) -> None:
    """Check that every weight of a model came from its folder, and every weight in the folder went into the model.

    Args:
        report: What `from_pretrained(…, output_loading_info=True)` gives beside the model.
        name: What the message calls the folder or hub id.

    Raises:
        ConfigError: Some weights are missing, unexpected, or of another shape; the message has names and counts.
    """
    missing = sorted(report.get("missing_keys") or ())
    unexpected = sorted(key for key in report.get("unexpected_keys") or () if not key.endswith(_COMPUTED))
    mismatched = sorted(str(found[0]) for found in report.get("mismatched_keys") or ())
    found = [
        f"{len(keys)} {what} ({_listed(keys)})"
        for keys, what in (
            (missing, "that are not there and would be random"),
            (unexpected, "that the model has no place for"),
            (mismatched, "of another shape"),
        )
        if keys
    ]
    if not found:
        return
    raise ConfigError(
        f"expected the weights of the whole model in {name!r}; found parameters {', and '.join(found)}. "
        f"{_advice(unexpected)}"
    )


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")


def _advice(unexpected: Iterable[str]) -> str:
    for prefix, advice in _PREFIXES.items():
        if any(key.startswith(prefix) for key in unexpected):
            return f"Names begin with {prefix}: {advice}."
    return "Save the model again with save_pretrained, from the class that its config names."
