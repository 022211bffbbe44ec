"""Tiny models of many causal architectures, made from their configs' own names of sizes."""

from typing import Any

import torch
import transformers as hf

# A size by every name that configs have for it; a config takes those that it knows.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_hidden_size", "dense_intermediate_size", "mlp_hidden_size"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 512),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "expert_num"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk", "moe_router_topk", "top_k_experts"), 2),
    **dict.fromkeys(("experts_per_token", "num_selected_experts"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"), 16),
    **dict.fromkeys(("expert_ffn_hidden_size", "moe_shared_expert_intermediate_size", "expert_intermediate_size"), 16),
    **dict.fromkeys(("share_expert_dim", "router_hidden_size"), 16),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "n_group", "topk_group", "first_k_dense_replace"), 1),
    **dict.fromkeys(("num_dense_layers", "decoder_sparse_step", "moe_every_n_layers"), 1),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("head_dim", "kv_channels", "linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("index_head_dim", "hidden_size_per_layer_input"), 8),
    "num_key_value_heads": 2,
    "index_n_heads": 2,
    "index_topk": 64,
    "sliding_window": 64,
    "moe_layer_start_index": 0,
    "attention_dropout": 0.0,
}
# Latent attention has a key for each head.
LATENT = {"num_key_value_heads": 4}
MIXTURES = {
    "Afmoe": {},
    "AriaText": {},
    "Cohere2Moe": {},
    "DeepseekV2": LATENT,
    "DeepseekV3": LATENT,
    "DeepseekV32": LATENT,
    "DeepseekV4": {},
    "Doge": {},
    "Dots1": {},
    "Ernie4_5_Moe": {},
    "ExaoneMoe": {},
    "FlexOlmo": {},
    "Flint": {},
    "Glm4Moe": {},
    "Glm4MoeLite": LATENT,
    "GptOss": {},
    "GraniteMoe": {},
    "GraniteMoeSWA": {},
    "GraniteMoeShared": {},
    "HunYuanMoEV1": {},
    "HYV3": {},
    "JetMoe": {},
    "Laguna": {},
    "Llama4Text": {},
    "Mellum": {},
    "MiMoV2Flash": {},
    "MiniMax": {},
    "MiniMaxM2": {},
    "MiniMaxM3VLText": {},
    "Mixtral": {},
    "NemotronH": {},
    "Olmoe": {},
    "Phimoe": {},
    "Qwen2Moe": {},
    "Qwen3Moe": {},
    "SolarOpen": {},
    "Youtu": LATENT,
}
# Configs that differ by layer, by default or because they are told to.
BY_LAYER = {"Gemma4Text": {"num_hidden_layers": 6}, "Gemma4UnifiedText": {"num_hidden_layers": 6}}
TOO_LARGE = 3_000_000


def tiny_architecture(name: str, tokenizer: Any, **changes: Any) -> Any:
    """A random model of some architecture for a tokenizer.

    Raises:
        LookupError: The installed transformers has no such architecture.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = next(
        (kind for kind in CONFIG_MAPPING.values() if kind.__name__.removesuffix("Config").lower() == name.lower()), None
    )
    if kind is None or kind not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise LookupError(f"{name} is not in transformers {hf.__version__}")
    default = kind()
    sizes = {
        **SIZES,
        **MIXTURES.get(name, {}),
        **BY_LAYER.get(name, {}),
        "vocab_size": len(tokenizer),
        "vocab_size_per_layer_input": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = kind(**{size: value for size, value in sizes.items() if _knows(default, size)} | changes)
    made = MODEL_FOR_CAUSAL_LM_MAPPING[kind]
    with torch.device("meta"):
        assert sum(weight.numel() for weight in made(config).parameters()) < TOO_LARGE, f"{name} has a size of its own"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return made(config)


def _knows(config: Any, name: str) -> bool:
    try:
        return hasattr(config, name)
    except RuntimeError:  # a setting that differs by layer
        return True
