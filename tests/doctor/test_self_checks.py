"""Whether these versions still do what runs rely on, told before there is a model."""

import pytest
from transformers import LlamaForCausalLM

from driftwatch.chat.format import ChatFormat
from driftwatch.doctor import self_checks as checks
from driftwatch.testing import tiny_tokenizer


def levels():
    return [finding.level for finding in checks.of_versions()]


def test_they_pass_on_the_installed_versions():
    found = list(checks.of_versions())
    assert [finding.level for finding in found] == ["ok"] * 5
    assert all("transformers" in finding.text for finding in found)


def test_a_cache_that_is_dropped_without_a_word_is_a_problem(monkeypatch):
    """As when a release renames the argument: every token is then read without what came before it."""
    forward = LlamaForCausalLM.forward

    def forgetful(self, input_ids=None, **kwargs):
        for name in ("past_key_values", "cache"):
            kwargs.pop(name, None)
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", forgetful)
    found = [finding for finding in checks.of_versions() if finding.level == "problem"]
    assert found
    assert all("LlamaForCausalLM" in finding.text and finding.fix for finding in found)


def test_whatever_new_versions_raise_is_a_finding(monkeypatch):
    def broken(self, *args, **kwargs):
        raise TypeError("forward() got an unexpected keyword argument 'input_ids'")

    monkeypatch.setattr(LlamaForCausalLM, "forward", broken)
    assert levels() == ["problem", "problem", "ok", "ok", "ok"]


@pytest.mark.parametrize("proved", [None, False])
def test_answers_in_other_tokens_than_training_s_are_a_problem(monkeypatch, proved):
    class Another(ChatFormat):
        def __init__(self, tokenizer):
            super().__init__(tokenizer)
            self.rendering = self.rendering._replace(proved=proved)

    monkeypatch.setattr("driftwatch.chat.format.ChatFormat", Another)
    assert checks._rendering(tiny_tokenizer(), "here").level == "problem"
