"""Tiny models of several architectures whose attention matters."""

import torch
import transformers as hf

VOCABULARY = 97
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def strengthened(model):
    """Larger weights than an initialisation has: with those a model hardly looks back, and a wrong mask goes unseen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.normal_(0, 1.0 / weight.shape[1] ** 0.5, generator=generator)
    return model.eval()


def build(kind, attention="sdpa", **changes):
    """A tiny model of some architecture."""
    settings = {**SMALL, **changes}
    makers = {
        "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**settings)),
        "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**settings)),
        "gemma3": lambda: hf.Gemma3ForCausalLM(
            hf.Gemma3TextConfig(sliding_window=6, layer_types=["sliding_attention", "full_attention"] * 2, **settings)
        ),
        "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(sliding_window=6, **settings)),
        "mixtral": lambda: hf.MixtralForCausalLM(
            hf.MixtralConfig(num_local_experts=4, output_router_logits=True, **settings)
        ),
        "gpt2": lambda: hf.GPT2LMHeadModel(
            hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=512)
        ),
        "mamba": lambda: hf.MambaForCausalLM(
            hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8)
        ),
        "lfm2": lambda: hf.Lfm2ForCausalLM(
            hf.Lfm2Config(**settings, layer_types=["conv", "full_attention", "conv", "full_attention"])
        ),
        "qwen3_next": lambda: hf.Qwen3NextForCausalLM(
            hf.Qwen3NextConfig(
                **settings,
                linear_num_key_heads=2,
                linear_num_value_heads=2,
                linear_key_head_dim=8,
                linear_value_head_dim=8,
                num_experts=4,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                shared_expert_intermediate_size=32,
                layer_types=["linear_attention", "full_attention"] * 2,
            )
        ),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = makers[kind]()
    if hasattr(model, "set_attn_implementation") and kind != "mamba":
        model.set_attn_implementation(attention)
    return strengthened(model)
