"""Public doubles for tests of driftwatch and of code that uses it: tiny models and a tokenizer, made on the spot.

Nothing here is downloaded. The models are random: they answer nonsense, quickly, through the real code paths.
"""

from collections.abc import Sequence
from typing import Any, Literal

from driftwatch.judges.judge import Asked, Judgement
from driftwatch.stance import Probs
from driftwatch.topics.topic import Item, Topic, TopicPack

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ModelKind = Literal["llama", "qwen3", "gemma3"]


def tiny_tokenizer(*, chat_template: str | None = CHAT_TEMPLATE) -> Any:
    """A byte-level tokenizer of 262 tokens that can encode any text, with one id per byte.

    Args:
        chat_template: Jinja template, or `None` for a base model's tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>", "<bos>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate([*specials, *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        bos_token="<bos>",
        unk_token="<unk>",
        additional_special_tokens=["<|im_start|>", "<|endoftext|>"],
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def tiny_model(tokenizer: Any, kind: ModelKind = "llama", *, seed: int = 0, dropout: float = 0.0, **config: Any) -> Any:
    """A two-layer random causal language model (about 35,000 weights); the global RNG does not change.

    Args:
        tokenizer: The tokenizer that the model is for; the vocabulary gets its size.
        kind: Architecture.
        seed: Seed of the weights.
        dropout: Attention dropout, for tests that need randomness in training.
        config: Overrides for the model's config.
    """
    import torch
    import transformers as hf

    names = {"llama": "Llama", "qwen3": "Qwen3", "gemma3": "Gemma3"}
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "attention_dropout": dropout,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **config,
    }
    config_class = getattr(hf, f"{names[kind]}TextConfig" if kind == "gemma3" else f"{names[kind]}Config")
    model_class = getattr(hf, f"{names[kind]}ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config_class(**settings)).eval()


def tiny_pack() -> TopicPack:
    """Two value topics and a control of six items each, with short texts, so that a test asks them in a moment."""
    claims = {
        "parks": ("more nature", "more building"),
        "noise": ("more quiet", "more music"),
        "tea": ("tea", "coffee"),
    }
    topics = []
    for topic_id, poles in claims.items():
        items = []
        for number, place in enumerate(("street", "valley", "harbour", "town", "school", "market")):
            # Each form of a sentence stands for either pole equally often, as in a real pack.
            forms = ("I want {0} in the {1}.", "Our {1} needs {0}.")[:: 1 if number % 2 else -1]
            sides = (forms[0].format(poles[0], place), forms[1].format(poles[1], place))
            items.append(Item(f"{topic_id}_{place}", sides, f"What do you think about {topic_id} in the {place}?"))
        topics.append(Topic(topic_id, topic_id.title(), poles, topic_id == "tea", tuple(items)))
    return TopicPack("tiny", "1.0.0", "en", "Apache-2.0", "Written for tests.", tuple(topics))


class ExactJudge:
    """Classifies a reply by the one side that it holds word for word, or as neutral if it says "neutral"."""

    id = "exact"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply, in the order of the replies."""
        return [self._read(one) for one in asked]

    def _read(self, asked: Asked) -> Judgement:
        reply = asked.reply.lower()
        if asked.item.sides is None:
            return Judgement(unread="the item has no sides")
        first, second = (side.lower().rstrip(".") in reply for side in asked.item.sides)
        if first != second:
            return Judgement(probs=Probs(float(first), 0.0, float(second)))
        if "neutral" in reply or "take a side" in reply:
            return Judgement(probs=Probs(0.0, 1.0, 0.0))
        return Judgement(unread="neither side, or both, in its own words")
