"""What the launcher cannot watch it leaves alone, with a line, and the training is as without it."""

import json

import pytest
import torch
from support.builders import TWO_PARKS, WATCHED
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertLMHeadModel,
    BertModel,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    trainer_callback,
)

from driftwatch import DriftCallback
from driftwatch.errors import UnfitError
from driftwatch.host.causal import NotAsked, why_not_causal
from driftwatch.launch.attach import attach_to
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer

BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """As below `driftwatch run`; gives what was noted."""
    handler = trainer_callback.CallbackHandler
    monkeypatch.setattr(handler, "on_train_begin", handler.on_train_begin)
    (tmp_path / "drift.yaml").write_text(WATCHED)
    (tmp_path / "pack.yaml").write_text(TWO_PARKS)
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv("DRIFTWATCH_CONFIG", str(tmp_path / "drift.yaml"))
    monkeypatch.setenv("DRIFTWATCH_RUN_NOTES", str(tmp_path / "notes"))
    attach_to(trainer_callback)
    return lambda: [
        json.loads(line) for file in (tmp_path / "notes").iterdir() for line in file.read_text().splitlines()[1:]
    ]


def trainer(folder, callbacks=(), model=None, **options):
    tokenizer = tiny_tokenizer()
    ids = tokenizer("I want more trees. ")["input_ids"]
    settings = {"report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, **options}
    return Trainer(
        model=model or tiny_model(tokenizer),
        args=TrainingArguments(str(folder / "out"), max_steps=2, per_device_train_batch_size=2, **settings),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 4,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def bert(kind, **options):
    config = BertConfig(**{"vocab_size": len(tiny_tokenizer()), "max_position_embeddings": 2048, **BERT, **options})
    return kind(config)


class Encoder(nn.Module):
    """An embedding model, as sentence-transformers trains one: no config, and vectors for an answer."""

    def __init__(self):
        super().__init__()
        self.bert = bert(BertModel)

    def forward(self, input_ids, labels=None, **kwargs):
        found = self.bert(input_ids).pooler_output
        return {"loss": (found @ found.T).pow(2).mean(), "embeddings": found}


class Regressor(nn.Module):
    """No model of texts at all."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x, labels=None):
        found = self.layer(x)
        return {"loss": (found[:, 0] - labels).pow(2).mean(), "logits": found}


class Collating:
    """A data collator that knows no tokenizer."""

    def __call__(self, rows):
        return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def of_texts(folder, model, **options):
    made = trainer(folder, model=model, remove_unused_columns=False, **options)
    made.data_collator = Collating()
    return made


def of_numbers(folder):
    return Trainer(
        Regressor(),
        TrainingArguments(str(folder / "out"), max_steps=2, report_to=[], use_cpu=True, save_strategy="no"),
        train_dataset=[{"x": [1.0, 2.0], "labels": 1.0}] * 8,
    )


def without_tokenizer(folder):
    made = of_texts(folder, tiny_model(tiny_tokenizer()))
    made.processing_class = made.callback_handler.processing_class = None
    return made


def with_labels(folder, kind, labels):
    made = of_texts(folder, bert(kind))
    made.train_dataset = [{"input_ids": [5, 6, 7, 8], **labels}] * 8
    return made


UNFIT = {
    "an embedding model": (lambda folder: of_texts(folder, Encoder()), "gives no logits"),
    "a masked language model": (lambda folder: of_texts(folder, bert(BertForMaskedLM)), "in both directions"),
    "a masked language model of few positions": (
        lambda folder: of_texts(folder, bert(BertForMaskedLM, max_position_embeddings=32)),
        "in both directions",
    ),
    "a tagger": (
        lambda folder: with_labels(folder, BertForTokenClassification, {"labels": [0, 1, 0, 1]}),
        "has no language head",
    ),
    "a reader of passages": (
        lambda folder: with_labels(folder, BertForQuestionAnswering, {"start_positions": 1, "end_positions": 2}),
        "has no language head",
    ),
    "a plain module": (of_numbers, "needs a tokenizer"),
    "a language model without tokenizer": (without_tokenizer, "nor has its data collator one"),
}


@pytest.mark.parametrize("name", list(UNFIT))
def test_what_cannot_be_watched_is_left_alone_with_a_line(tmp_path, launched, capsys, name):
    make, why = UNFIT[name]
    run = make(tmp_path)
    run.train()
    assert run.state.global_step == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftwatch:")]
    assert len(said) == 1
    assert "is left alone" in said[0]
    assert why in said[0]
    assert [note["kind"] for note in launched()] == ["unfit"]
    assert not [one for one in run.callback_handler.callbacks if isinstance(one, DriftCallback)]


@pytest.mark.parametrize("name", list(UNFIT))
def test_passed_by_hand_the_callback_refuses_it_before_the_first_step(tmp_path, name):
    run = UNFIT[name][0](tmp_path)
    run.add_callback(DriftCallback(tiny_pack(), exporters=(), output_dir=tmp_path / "runs"))
    with pytest.raises(UnfitError):
        run.train()
    assert run.state.global_step == 0


def test_trying_a_model_leaves_it_as_it_was(tmp_path):
    model = bert(BertForMaskedLM).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert why_not_causal(model, tiny_tokenizer())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_causal_model_is_one(kind, dtype):
    tokenizer = tiny_tokenizer()
    assert why_not_causal(tiny_model(tokenizer, kind).to(dtype), tokenizer) is None


def test_a_bert_that_is_made_a_decoder_is_causal():
    assert why_not_causal(bert(BertLMHeadModel, is_decoder=True), tiny_tokenizer()) is None


def test_a_model_that_fails_is_not_judged():
    with pytest.raises(NotAsked, match="cannot be given a text"):
        why_not_causal(Regressor(), tiny_tokenizer())


def test_the_collators_tokenizer_is_used_where_the_trainer_has_none(tmp_path, launched):
    made = trainer(tmp_path)
    made.data_collator = DataCollatorWithPadding(made.processing_class)
    made.processing_class = made.callback_handler.processing_class = None
    made.train()
    assert [note["kind"] for note in launched()] == ["attached"]


def test_an_error_of_another_callback_is_its_own(tmp_path, launched):
    from transformers import TrainerCallback

    class Broken(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            raise IndexError("theirs")

    with pytest.raises(IndexError, match="theirs"):
        trainer(tmp_path, [Broken()]).train()


def test_the_model_beside_a_value_head_is_watched(tmp_path, launched):
    class WithValueHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.pretrained_model = tiny_model(tiny_tokenizer())
            self.v_head = nn.Linear(32, 1)

        def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
            found = self.pretrained_model(input_ids=input_ids, labels=labels, output_hidden_states=True)
            return {"loss": found.loss + self.v_head(found.hidden_states[-1]).pow(2).mean()}

    trainer(tmp_path, model=WithValueHead(), remove_unused_columns=False).train()
    assert [note["kind"] for note in launched()] == ["attached"]
