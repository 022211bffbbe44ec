"""How much drift of a topic is tolerated, from the argument of a callback to what its readers say."""

import json
from dataclasses import replace

import pytest
from support.builders import run_info
from support.by_letter import confirmation
from support.trainings import callback, store, trainer

from driftwatch.errors import ConfigError
from driftwatch.evidence.ledger import from_json
from driftwatch.record.metrics import TOLERANCE
from driftwatch.record.samples import samples
from driftwatch.testing import tiny_pack, tiny_tokenizer

VALUES = [topic.id for topic in tiny_pack() if not topic.control]


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def kept_settings(folder):
    return from_json(json.loads((store(folder).folder / "evidence.json").read_text())["evidence"]).settings


def test_a_resumed_run_keeps_the_tolerance_that_it_began_with_and_takes_no_other(tmp_path, tokenizer):
    first, *others = VALUES
    own = {"default": 0.02, first: 0.3}
    watch = callback(tmp_path, confirm=confirmation(), tolerance=own)
    trainer(tmp_path, tokenizer, [watch], save_strategy="steps", save_steps=2).train()
    other = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation(), tolerance=0.5)], max_steps=6)
    with pytest.raises(ConfigError, match=r"began, a tolerance of 0\.3 for .*; found one of 0\.5"):
        other.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    again = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation(), tolerance=own)], max_steps=6)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    assert store(tmp_path).records()[-1].attempt == 1
    settings = kept_settings(tmp_path)
    assert {name: settings.tolerance[name] for name in settings.topics} == {
        name: 0.3 if name == first else 0.02 for name in settings.topics
    }
    told = {topic.id: topic.tolerance for topic in store(tmp_path).info().topics}
    assert told == {first: 0.3, **dict.fromkeys(others, 0.02), "tea": None}


def test_the_default_is_what_it_was_before_there_was_a_choice(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], max_steps=2).train()
    assert kept_settings(tmp_path).deltas == (0.0, 0.05)
    assert kept_settings(tmp_path).own_deltas == {}


def test_a_topic_that_the_pack_does_not_have_is_refused_at_construction(tmp_path):
    with pytest.raises(ConfigError, match=r'tolerance: "parcs" is no value topic.*Did you mean "parks"'):
        callback(tmp_path, tolerance={"parcs": 0.1})


def test_a_metric_says_what_is_tolerated_of_value_topics():
    parks, tea = run_info().topics
    info = run_info(topics=(replace(parks, tolerance=0.1), tea))
    found = [s for s in samples(info, None, state="running") if s.metric is TOLERANCE]
    assert [(s.labels, s.value) for s in found] == [(("r1", "parks"), 0.1)]
