"""Whole runs of the product on a model that draws from known shares."""

import numpy as np
import pytest
import torch

from driftwatch.watch.rehearsal import DRAWS, MOVED, OPEN, StandIn, rehearse, rehearse_many


@pytest.fixture(scope="module")
def model():
    return StandIn()


def test_the_stand_in_says_what_it_is_told(model):
    """Known answer: the softmax of its output at any token is the shares, and nothing else has any mass."""
    for shares in (OPEN, MOVED):
        model.says(shares)
        logits = model.model(torch.tensor([[5, 9, 7]])).logits[0, -1]
        tokens = [model.tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "YMN"]
        assert logits.softmax(-1)[tokens].tolist() == pytest.approx(shares, abs=1e-4)


def test_a_run_with_a_resume_uses_each_baseline_reply_once_and_draws_at_every_look(model):
    found = rehearse(model, seed=1, looks=3, resumed_after=2)
    assert found.repeated == 0
    assert (found.counts_TS.sum(1) >= 3 * DRAWS).all()


def test_a_model_that_moves_is_found(model):
    assert 0 < rehearse(model, seed=2, looks=6, now=MOVED, onset=1, resumed_after=3).alert_look <= 6


def test_the_same_seed_repeats_a_run_and_another_draws_anew(model):
    first, again, other = (rehearse(model, seed=seed, looks=2, resumed_after=None) for seed in (3, 3, 4))
    assert np.array_equal(first.counts_TS, again.counts_TS)
    assert not np.array_equal(first.counts_TS, other.counts_TS)


@pytest.mark.nightly
def test_many_runs_keep_alpha_the_shares_and_the_sequence():
    found = rehearse_many(60)
    assert found.problems == ()
