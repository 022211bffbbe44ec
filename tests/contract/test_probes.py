"""What every installed probe must do."""

import random

import numpy as np
import pytest
import torch

from driftwatch import plugins
from driftwatch.host.guard import undisturbed
from driftwatch.probes.probe import Probe
from driftwatch.testing import tiny_model, tiny_pack


@pytest.fixture(params=plugins.names("probes"))
def probe(request):
    return plugins.made("probes", request.param)


@pytest.fixture
def prepared(probe, tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    with undisturbed(model) as asked:
        probe.prepare(asked, tiny_tokenizer, tiny_pack().topics)
    return probe, model


def ask(probe, model):
    with undisturbed(model) as asked:
        return probe.measure(asked)


def test_it_keeps_the_protocol(probe):
    assert isinstance(probe, Probe)
    assert probe.kind


def test_it_gives_one_stance_an_item_in_order_and_names_itself(prepared):
    probe, model = prepared
    found = ask(probe, model)
    assert [s.item for s in found] == [item.id for topic in tiny_pack() for item in topic.items]
    assert {s.probe for s in found} == {probe.kind}


def test_a_stance_has_a_figure_or_a_reason(prepared):
    for stance in ask(*prepared):
        assert (stance.probs is not None or stance.scores is not None) == (stance.unscored is None)


def test_the_same_weights_give_the_same_answer(prepared):
    assert ask(*prepared) == ask(*prepared)


def test_its_identity_is_short_text_and_stays(prepared):
    probe, model = prepared
    before = probe.identity()
    ask(probe, model)
    assert probe.identity() == before
    assert all(isinstance(value, str) and len(value) < 200 for value in before.values())


def test_it_draws_from_no_global_generator(prepared):
    probe, model = prepared
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the point
    with torch.no_grad():
        probe.measure(model)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002 - the point
