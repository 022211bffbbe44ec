"""What a forward computes beside logits is switched off, and only by arguments that the forward takes."""

import pytest
import torch
import transformers as hf
from support.attentive_models import build
from torch import nn

from driftwatch.host.switches import switches


def test_a_plain_model_needs_no_switch():
    assert switches(build("llama")) == {"return_dict": True}


@pytest.mark.parametrize("name", ["output_router_logits", "output_hidden_states"])
def test_what_the_config_turns_on_is_switched_off(name):
    model = build("mixtral")
    model.config.output_router_logits = False
    setattr(model.config, name, True)
    assert switches(model) == {"return_dict": True, name: False}


class _Own(nn.Module):
    """A model of one's own: embeddings, a head, and a forward that takes few arguments and keeps count of its calls."""

    def __init__(self, **config):
        super().__init__()
        self.embed, self.head, self.calls = nn.Embedding(11, 4), nn.Linear(4, 11), 0
        self.config = hf.LlamaConfig(vocab_size=11, hidden_size=4, num_attention_heads=2, **config)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, output_extra=None):
        self.calls += 1
        return hf.modeling_outputs.CausalLMOutput(logits=self.head(self.embed(input_ids)))


def test_an_argument_that_a_forward_refuses_is_left_out():
    model = _Own()
    model.config.output_attentions, model.config.output_extra = False, True
    assert switches(model) == {"output_extra": False}


def test_a_model_that_cannot_be_called_is_not_judged_by_its_switches():
    model = _Own()
    model.forward = lambda **_: (_ for _ in ()).throw(RuntimeError("no memory"))
    assert switches(model) == {"return_dict": True}


def test_where_nothing_is_refused_one_call_is_enough():
    calls = []
    model = build("mixtral")
    model.register_forward_hook(lambda *_: calls.append(1))
    switches(model)
    assert len(calls) == 1


def test_nothing_is_recorded_for_a_backward_pass():
    model = build("llama")
    seen = []
    model.register_forward_hook(lambda module, args, out: seen.append(out.logits.requires_grad))
    switches(model)
    assert seen == [False]
    assert torch.is_grad_enabled()
