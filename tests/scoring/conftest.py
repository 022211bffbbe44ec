"""Tiny models whose attention matters, and the certain way to score."""

import numpy as np
import pytest
import torch
from support.attentive_models import VOCABULARY, build

from driftwatch.scoring.trie import Request


@pytest.fixture(scope="session")
def repeats_states():
    """Whether recurrent states can be repeated for continuations: not in versions that have caches of their own."""
    from transformers.models.lfm2 import modeling_lfm2

    return not hasattr(modeling_lfm2, "Lfm2HybridConvCache")


@pytest.fixture
def needs_repeated_states(repeats_states):
    if not repeats_states:
        pytest.skip("recurrent states cannot be repeated with this transformers; such models go a slower way")


@pytest.fixture
def build_model():
    return build


@pytest.fixture
def requests():
    """Twelve prompts behind two stems, of several lengths, with continuations that share beginnings."""
    return random_requests()


def random_requests(count=12, seed=0):
    rng = np.random.default_rng(seed)

    def some(low, high):
        return tuple(rng.integers(3, VOCABULARY, rng.integers(low, high)).tolist())

    chat, kinds, frames = some(8, 9), [some(3, 4), some(3, 4)], [some(2, 4) for _ in range(3)]
    found = []
    for i in range(count):
        sides = [some(2, 6), some(2, 6)]
        continuations = tuple(frame + side for frame in frames for side in sides)
        found.append(Request(chat + kinds[i % 2] + some(3, 9) + (5,), (*continuations, some(1, 2), some(3, 7))))
    return found


def alone(model, requests):
    """Each prompt + continuation in a forward pass of its own: for each request a float64 array."""
    found, device = [], next(model.parameters()).device
    with torch.no_grad():
        for prompt, continuations in requests:
            values = []
            for tokens in continuations:
                logits = model(torch.tensor([(prompt + tokens)[:-1]], device=device), use_cache=False).logits[
                    0, len(prompt) - 1 :
                ]
                log_p = logits.double().log_softmax(dim=-1)
                values.append(log_p[range(len(tokens)), list(tokens)].sum().item())
            found.append(np.array(values))
    return found


@pytest.fixture
def score_alone():
    return alone


@pytest.fixture
def make_requests():
    return random_requests


@pytest.fixture
def largest_difference():
    def largest(a, b):
        return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))

    return largest
