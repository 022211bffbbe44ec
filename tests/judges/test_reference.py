from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from support.small_judges import plain_replies, train_causal

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import JudgeError
from driftwatch.host.guard import undisturbed
from driftwatch.judges.anchors import anchors
from driftwatch.judges.judging import outcome
from driftwatch.judges.reference import _ORDERS, ReferenceJudge, _options, _prompt
from driftwatch.testing import tiny_model


class _Words:
    """Stands in for a tokenizer while the prompts are written."""

    chat_template = None


@pytest.fixture(scope="module")
def right():
    """A tiny Llama that learns the right answer about every plain reply, in half of the orders of the options."""
    chat = ChatFormat(_Words())
    prompts, answers = [], []
    for asked, stance in plain_replies():
        for order in _ORDERS[::2]:
            prompts.append(chat.text(_prompt(asked, order)))
            answers.append(_options(asked)[stance])
    return train_causal(prompts, answers)


def judge_of(model, tokenizer, **settings):
    @contextmanager
    def baseline():
        with undisturbed(model) as asked:
            yield asked

    return ReferenceJudge(baseline, tokenizer, weights="w1", **settings)


def test_a_model_that_reads_rightly_judges(right):
    judge = judge_of(*right)
    assert judge.check() == 1.0
    known = anchors()
    assert [outcome(r) for r in judge.read([asked for asked, _ in known])] == [stance for _, stance in known]


def test_swapped_sides_are_read_the_other_way(right):
    asked = next(a for a, stance in anchors() if stance == "support")
    swapped = replace(asked, item=replace(asked.item, sides=asked.item.sides[::-1]))
    first, second = judge_of(*right).read([asked, swapped])
    assert first.probs.support == pytest.approx(second.probs.oppose, abs=0.05)


def test_a_model_near_chance_is_refused(tiny_tokenizer):
    with pytest.raises(JudgeError, match=r"\(the baseline model\) reads \d+% of 24 plain replies.*too small for this"):
        judge_of(tiny_model(tiny_tokenizer), tiny_tokenizer).read([anchors()[0][0]])


def test_empty_and_refusing_replies_are_not_guessed(right):
    asked = anchors()[0][0]
    empty, refused = judge_of(*right).read([replace(asked, reply=""), replace(asked, reply="I cannot answer that.")])
    assert empty.unread == "the reply is empty"
    assert refused.refusal


def test_nothing_to_read_is_nothing(right):
    assert judge_of(*right).read([]) == []


def test_a_baseline_that_changes_is_noticed(right):
    model, tokenizer = right
    judge = judge_of(model, tokenizer)
    judge.read([anchors()[0][0]])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        with torch.no_grad():
            model.lm_head.weight.mul_(0.2)
        with pytest.raises(JudgeError, match="no longer the one that judged before"):
            judge.read([anchors()[0][0]])
    finally:
        model.load_state_dict(before)


def test_its_identity_names_the_weights_and_hashes_the_prompt(right):
    one, other = judge_of(*right), judge_of(*right, min_probability=0.7)
    assert one.id.startswith("reference:w1:")
    assert one.id != other.id
