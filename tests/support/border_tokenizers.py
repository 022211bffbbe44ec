"""Tokenizers that encode a text otherwise than its two parts: what stands at the border is another token there."""

from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from driftwatch.topics import load_pack

KINDS = ("prepended", "metaspace", "bytes")
SPECIALS = ["<unk>", "<s>", "</s>", "<pad>"]


@cache
def _corpus() -> tuple[str, ...]:
    sides = [side for topic in load_pack("quick") for item in topic.items for side in item.sides or ()]
    framed = [f"I think that {side[0].lower()}{side[1:]}" for side in sides] + [f"In my view, {side}" for side in sides]
    # Borders, so that something merges with them.
    borders = [f"{before}{side}" for side in sides[:60] for before in (" ", "\n", ": ", ">\n", "\n\n", "] ")]
    return (*sides, *framed, *borders)


@cache
def _raw(kind: str) -> str:
    raw = Tokenizer(models.BPE(byte_fallback=kind != "bytes", fuse_unk=True, unk_token="<unk>"))
    specials = list(SPECIALS)
    if kind == "bytes":  # byte-level, and not cut into words first: any two characters may merge
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        specials += [f"<0x{byte:02X}>" for byte in range(256)]
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
        raw.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        alphabet = []
    raw.train_from_iterator(
        _corpus(),
        trainers.BpeTrainer(vocab_size=1500, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    if kind == "prepended":  # Llama 2, Mistral 7B v0.1, TinyLlama, Zephyr
        raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    elif kind == "metaspace":  # Mistral 7B v0.3
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return raw.to_str()


def border_tokenizer(kind: str, chat_template: str | None = None, *, adds_eos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of about 1,500 tokens that adds <s>, and </s> where it is told so.

    Args:
        kind: "prepended" and "metaspace" put SentencePiece's dummy prefix before a text, each in its way; "bytes"
            merges across words.
        chat_template: `None` for a base model's.
        adds_eos: It adds </s> to every text, too.
    """
    raw = Tokenizer.from_str(_raw(kind))
    single = "<s> $A </s>" if adds_eos else "<s> $A"
    raw.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    tokenizer.chat_template = chat_template
    return tokenizer
