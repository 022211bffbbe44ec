"""The models that benchmarks time."""

from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from driftwatch.host.smollm2 import load_smollm2, smollm2_path

# Sizes of Llama 3.2 1B and Llama 3.1 8B. Weights are random: what is timed does not depend on what they say.
SIZES: dict[str, dict[str, Any]] = {
    "llama-1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
    "llama-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
NAMES = ("smollm2", *SIZES)


def load(name: str) -> tuple[Any, Any]:
    """A model on the accelerator, if there is one, and the tokenizer of SmolLM2.

    Args:
        name: "smollm2" (real weights, float32), "llama-1b" or "llama-8b" (random weights, bfloat16).
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "smollm2":
        model, tokenizer = load_smollm2()
        return model.to(device), tokenizer
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path())
    specials = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=128_256, **specials, **SIZES[name])).to(torch.bfloat16)
    return model.eval(), tokenizer


def describe(model: Any) -> str:
    """Kind, size and precision."""
    return f"{type(model).__name__} {model.num_parameters() / 1e6:.0f}M {str(model.dtype).removeprefix('torch.')}"
