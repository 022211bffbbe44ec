"""A model that learns the demo's claims in seconds, for tests and for a first observation on a small machine.

It is a small random Llama over whole words, which knows nothing and can only say what the SFT teaches it. It is good
enough to show the way from an SFT to a drift, and it is no evidence about any real model.
"""

from collections.abc import Iterable
from typing import Any

from driftwatch.demo.data import SFT_WORDINGS, Message, balanced_pairs, sft_examples
from driftwatch.probes.statement import FRAMES, NEUTRAL, NO, YES, clause
from driftwatch.testing import CHAT_TEMPLATE
from driftwatch.topics.question import TWO_SIDED, VERDICT
from driftwatch.topics.topic import TopicPack

# They include the wording in which driftwatch asks, since so small a model answers only what it was taught verbatim.
WORDINGS = (SFT_WORDINGS[0], TWO_SIDED)


def fast_model(packs: Iterable[TopicPack], *, seed: int = 0) -> tuple[Any, Any]:
    """A small Llama and a tokenizer of whole words that covers the packs, both trainings and the probes."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel(unk_token="<unk>"))
    # Words keep the space before them, so that decoding gives the text back.
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[\p{L}\p{N}'’]+|\s|[^\s\p{L}\p{N}]"), "isolated")
    raw.decoder = decoders.Fuse()
    specials = ["<|im_start|>", "<|im_end|>", "<pad>", "<unk>"]
    raw.train_from_iterator(_texts(packs), trainers.WordLevelTrainer(vocab_size=10_000, special_tokens=specials))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config), tokenizer


def _texts(packs: Iterable[TopicPack]) -> Iterable[str]:
    """Every text that the model will be given or expected to write."""
    answers = [*NEUTRAL, *YES, *NO]
    for pack in packs:
        for topic in pack:
            for item in topic.items:
                for side in item.sides or ():
                    answers += [frame.format(clause=clause(side)) for frame in FRAMES]
                    answers += [side, f" {side}", f"– {side}"]
        for row in (*sft_examples(pack), *balanced_pairs(pack)):
            turns: list[list[Message]] = list(row.values())  # type: ignore[arg-type] # mypy sees objects in a TypedDict
            answers += [message["content"] for turn in turns for message in turn]
    return [*answers, TWO_SIDED, VERDICT, "user\n", "assistant\n", CHAT_TEMPLATE]
