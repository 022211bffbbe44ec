"""Small models that a test trains to read the built-in plain replies rightly, with tokenizers of whole words."""

import torch

from driftwatch.judges.anchors import anchors


def word_tokenizer(texts, **specials):
    """A tokenizer of whole words and signs that covers these texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    raw.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=5000, special_tokens=names))
    if specials.pop("pairs", False):
        raw.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
        model_max_length=512,
        **specials,
    )


def train_classifier(pairs, labels, label2id, *, max_steps=400):
    """A tiny Llama that gives these pairs of texts these labels, and its tokenizer."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    names = ["input_ids", "attention_mask"]
    tokenizer = word_tokenizer([text for pair in pairs for text in pair], pairs=True, model_input_names=names)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
        label2id=label2id,
        id2label={i: label for label, i in label2id.items()},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config)
    batch = tokenizer([a for a, _ in pairs], [b for _, b in pairs], padding=True, return_tensors="pt")
    targets = torch.tensor(labels)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    _fit(lambda: torch.nn.functional.cross_entropy(model(**batch).logits, targets), optimizer, max_steps)
    return model.eval(), tokenizer


def train_causal(prompts, answers, *, max_steps=400):
    """A tiny Llama that continues these prompts with these answers, and its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = word_tokenizer([*prompts, *answers])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    rows = [
        (tokenizer(p, add_special_tokens=False)["input_ids"], tokenizer(a, add_special_tokens=False)["input_ids"])
        for p, a in zip(prompts, answers, strict=True)
    ]
    width = max(len(p) + len(a) for p, a in rows)
    ids = torch.tensor([p + a + [0] * (width - len(p) - len(a)) for p, a in rows])
    labels = torch.tensor([[-100] * len(p) + a + [-100] * (width - len(p) - len(a)) for p, a in rows])
    mask = torch.tensor([[1] * (len(p) + len(a)) + [0] * (width - len(p) - len(a)) for p, a in rows])
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    _fit(lambda: model(input_ids=ids, attention_mask=mask, labels=labels).loss, optimizer, max_steps)
    return model.eval(), tokenizer


def _fit(loss_of, optimizer, max_steps):
    for _ in range(max_steps):
        loss = loss_of()
        if loss.item() < 0.02:
            return
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def plain_replies():
    """Every built-in reply with its stance as 0, 1, 2."""
    return [(asked, ("support", "neutral", "oppose").index(stance)) for asked, stance in anchors()]
