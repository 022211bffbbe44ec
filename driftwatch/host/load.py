"""Loads a causal language model and its tokenizer by path or hub id."""

import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from driftwatch.errors import ConfigError
from driftwatch.host.whole import check_whole

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Loaded(NamedTuple):
    """A model in eval mode on the best device, and its tokenizer."""

    model: Any
    tokenizer: Any


def load_model(name: str, *, dtype: Dtype = "auto") -> Loaded:
    """Load what `name` stands for: a folder, a PEFT adapter's folder, a hub id, or "smollm2" for the demo's model.

    Raises:
        ConfigError: There is nothing, it is no causal language model, or some of its weights are missing.
    """
    import torch
    from transformers import AutoTokenizer

    source = in_full(name)
    if name == "smollm2":
        from driftwatch.host.smollm2 import smollm2_path

        source = str(smollm2_path())
    elif Path(source).is_dir() and not holds_model(source):
        raise ConfigError(
            f"expected a model in the folder {name} (config.json or adapter_config.json); found neither. "
            "Pass a folder written by save_pretrained, or a hub id."
        )
    elif is_missing(source):
        raise ConfigError(
            f"expected a model's folder; found none at {name}. "
            "Pass a folder written by save_pretrained, or a hub id such as Qwen/Qwen3-0.6B."
        )
    try:
        model = _whole_model(source, dtype)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, RuntimeError) as err:
        raise ConfigError(
            f"expected a causal language model at {name!r}, as a folder or a hub id; it cannot be loaded: {err}"
        ) from err
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Loaded(model.to(device).eval(), tokenizer)


def _whole_model(source: str, dtype: Dtype) -> Any:
    """The model, after a check that every weight of it came from its files.

    transformers loads an adapter's folder as the base model with the adapter on it, and then reports on the adapter
    alone. So the base is loaded first, by the same calls.
    """
    from transformers import AutoModelForCausalLM

    base = _base_of(source)
    model, report = AutoModelForCausalLM.from_pretrained(base or source, dtype=dtype, output_loading_info=True)
    check_whole(report, base or source)
    if base is not None:
        of_adapter = model.load_adapter(source)
        if hasattr(of_adapter, "to_dict"):  # transformers 4 reports on adapters only in its log
            check_whole(of_adapter.to_dict(), source)
    return model


def _base_of(source: str) -> str | None:
    """The base model that an adapter's folder names; `None` if this is no such folder."""
    path = Path(source, "adapter_config.json")
    if not path.is_file():
        return None
    try:
        base = json.loads(path.read_text()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return base if isinstance(base, str) and base else None


def in_full(name: str) -> str:
    """A model's name with a leading ~ replaced; it stays text, so that a hub id keeps its slash on every system."""
    return os.path.expanduser(name)


def holds_model(folder: str | Path) -> bool:
    """Whether a folder holds a saved model or adapter."""
    return any(Path(folder, file).is_file() for file in ("config.json", "adapter_config.json"))


def is_missing(name: str) -> bool:
    """Whether a model's name can only be a path, and no folder is there.

    A hub id is one word, or two with a slash between them.
    """
    is_path = name.startswith(("/", ".", "~")) or name.endswith("/") or name.count("/") > 1 or {"\\", ":"} & {*name}
    return bool(is_path) and not Path(name).expanduser().is_dir()
