"""Every causal language model of the installed transformers that can be built small, by its name in the config mapping.

One set of sizes is given to all; what an architecture calls otherwise, or needs besides, stands under its name.
"""

from typing import Any

import torch
import transformers as hf
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

MAX_WEIGHTS = 6_000_000  # more than this is one whose sizes have other names
NAMES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": 4,
    "eos_token_id": 2,
    "pad_token_id": 3,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
_LATENT = {
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MAMBA = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
_CONVOLUTIONS = {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1}
_IS_DECODER = {"is_decoder": True}
_WINDOW = {"sliding_window": 24}
_GPT = {"n_positions": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "head_dim": None}
_DECODER = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
}
_JAMBA = {
    "mamba_d_state": 8,
    "mamba_dt_rank": 4,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 2,
    "use_mamba_kernels": False,
}
_ZAMBA = {
    "mamba_d_state": 8,
    "n_mamba_heads": 2,
    "mamba_headdim": 32,
    "mamba_ngroups": 1,
    "num_hidden_layers": 3,
    "layers_block_type": ["mamba", "hybrid", "mamba"],
    "num_mem_blocks": 1,
    "use_mamba_kernels": False,
    "chunk_size": 16,
}
_NEMOTRON = {
    "hybrid_override_pattern": "M*",
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 8,
    "n_groups": 1,
    "chunk_size": 16,
    "num_hidden_layers": None,
}
_GPT_NEO = {
    "num_layers": 2,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 1]],
    "window_size": 24,
    "num_hidden_layers": None,
    "head_dim": None,
}
_GRIFFIN = {
    "lru_width": 32,
    "attention_window_size": 24,
    "num_hidden_layers": 3,
    "block_types": ["recurrent", "recurrent", "attention"],
}
_LONGCAT = {
    **_LATENT,
    "num_layers": 1,
    "ffn_hidden_size": 64,
    "expert_ffn_hidden_size": 16,
    "zero_expert_num": 1,
    "moe_topk": 2,
}
# `None` takes a size away.
_OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("mistral", "gemma3_text", "olmo3", "cohere2", "starcoder2", "exaone4", "gpt_oss"), _WINDOW),
    **dict.fromkeys(("deepseek_v3", "youtu", "glm4_moe_lite", "axk1"), _LATENT),
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "olmo_hybrid"), _LINEAR),
    **dict.fromkeys(("lfm2", "lfm2_moe", "lfm3"), _CONVOLUTIONS),
    **dict.fromkeys(("roberta", "bert-generation", "xlm-roberta"), _IS_DECODER),
    **dict.fromkeys(("codegen", "gptj"), _GPT),
    **dict.fromkeys(("trocr", "bart"), _DECODER),
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "deepseek_v2": {**_LATENT, "topk_method": "greedy"},
    "falcon": {"head_dim": None, "num_key_value_heads": None},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64},
    "gemma2": {**_WINDOW, "query_pre_attn_scalar": 8},
    "gpt_neo": _GPT_NEO,
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 32},
    "jamba": _JAMBA,
    "llama4_text": {
        "attention_chunk_size": 32,
        "intermediate_size_mlp": 64,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
    },
    "longcat_flash": _LONGCAT,
    "falcon_mamba": {"state_size": 8},
    "mamba": {"state_size": 8},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    "minicpm3": {**_LATENT, "head_dim": 16},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "block_size": 16},
    "modernbert-decoder": {"local_attention": 24, "global_attn_every_n_layers": 2},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 512},
    "nemotron_h": _NEMOTRON,
    "recurrent_gemma": _GRIFFIN,
    "rwkv": {"context_length": 512, "attention_hidden_size": 32},
    "zamba2": _ZAMBA,
}


def small_model(name: str, vocabulary: int) -> Any | None:
    """A random model of this architecture that says varied things; `None` where it cannot be built small.

    Args:
        name: In transformers' mapping of configs.
        vocabulary: Size of the tokenizer's.
    """
    sizes = {**_SIZES, "vocab_size": vocabulary, **_OWN.get(name, {})}
    try:
        config = getattr(hf, CONFIG_MAPPING_NAMES[name])(**{k: v for k, v in sizes.items() if v is not None})
        named = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[name]
        kind = getattr(hf, named if isinstance(named, str) else named[0])
        with torch.device("meta"):
            if sum(parameter.numel() for parameter in kind(config).parameters()) > MAX_WEIGHTS:
                return None
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = kind(config).eval()
            model(input_ids=torch.tensor([[5, 6, 7]]))
            head = model.get_output_embeddings()
            if head is not None:
                head.weight.mul_(8)
    except Exception:  # noqa: BLE001 - a config that wants other sizes says so in any way
        return None
    return model
