"""Replies on a CUDA device: a seed repeats them there too, also where torch must be deterministic."""

import pytest
import torch

from driftwatch.chat.format import ChatFormat
from driftwatch.host.guard import undisturbed
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import _choose, sample
from driftwatch.testing import tiny_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
QUESTIONS = [f"What do you think of {subject}?" for subject in ("tea", "the sea", "cats", "late trains", "Mondays")]


def ask(model, tokenizer, **settings):
    with undisturbed(model) as asked:
        generator = torch.Generator().manual_seed(3)
        return sample(asked, ChatFormat(tokenizer), QUESTIONS, generator=generator, **settings)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}, {"batch_size": 2}], ids=str)
def test_a_seed_repeats_the_replies(tiny_tokenizer, settings, deterministic):
    model = tiny_model(tiny_tokenizer).cuda()
    torch.use_deterministic_algorithms(deterministic)
    try:
        assert ask(model, tiny_tokenizer, **settings) == ask(model, tiny_tokenizer, **settings)
    finally:
        torch.use_deterministic_algorithms(False)


def test_replies_are_those_of_the_processor(tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        model.lm_head.weight.mul_(2000)  # all but certain of the next token: rounding changes nothing
    texts = [[reply.text for reply in ask(model.to(device), tiny_tokenizer)] for device in ("cpu", "cuda")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_the_same_token_is_chosen_from_a_large_vocabulary_every_time(top_p):
    generator = torch.Generator(device="cuda").manual_seed(0)
    logits = torch.randn(64, 256_000, device="cuda", generator=generator)
    uniforms = torch.rand(64, device="cuda", generator=generator)
    first = _choose(logits, uniforms, Decoding(top_p=top_p))
    assert all((_choose(logits, uniforms, Decoding(top_p=top_p)) == first).all() for _ in range(50))
