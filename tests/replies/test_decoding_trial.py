"""How a model is called for replies is found by trying; what comes out is what it says token by token."""

import peft
import pytest
import torch
import transformers as hf
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import ProbeError
from driftwatch.host.guard import undisturbed
from driftwatch.replies.decoding_trial import prove_decoding
from driftwatch.replies.sampling import sample
from driftwatch.testing import tiny_model

# transformers 5.24 calls it "cache", and takes the old name with a notice: from the subclasses below, and from peft.
pytestmark = pytest.mark.filterwarnings("ignore:.*.past_key_values.:FutureWarning")
QUESTIONS = ["Hm?", "Tea or coffee?", "Why would anybody want that at all, on a day like this one?", "Oh?"]
NUM_NEW = 8


def alone(model, prompt, stops):
    """The likeliest tokens, each prompt by itself and read again whole for every token."""
    ids = list(prompt)
    for _ in range(NUM_NEW):
        token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in stops:
            break
        ids.append(token)
    return ids[len(prompt) :]


def proved(model, tokenizer, **settings):
    """The way that is found, after a look at replies: greedy ones are what the model says."""
    chat = ChatFormat(tokenizer)
    prompts = [chat.encode(text) for text in QUESTIONS]
    with undisturbed(model) as asked, torch.no_grad():
        expected = [chat.decode(alone(asked, prompt, chat.stop_ids)) for prompt in prompts]
        found = prove_decoding(asked, prompts, max_new_tokens=NUM_NEW, **settings)
        replies = sample(
            asked,
            chat,
            QUESTIONS,
            generator=torch.Generator().manual_seed(0),
            temperature=0,
            max_new_tokens=NUM_NEW,
            prompt_length=max(map(len, prompts)) + 2,
            way=found.way,
        )
    assert [reply.text for reply in replies] == expected
    return found


def varied(model):
    """Logits far apart, and no token that ends a reply."""
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.weight.mul_(20)
    for config in (model.config, model.generation_config):
        config.eos_token_id = None
    return model


class Renamed(hf.LlamaForCausalLM):
    """Takes and gives its cache under another name, as transformers 5.24 does; what it does not know it drops."""

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, memory_cache=None, **kwargs):
        kwargs.pop("past_key_values", None)
        out = super().forward(input_ids, attention_mask, position_ids, past_key_values=memory_cache, **kwargs)
        named = hf.utils.ModelOutput(logits=out.logits)
        if out.past_key_values is not None:
            named["memory_cache"] = out.past_key_values
        return named


class AllHidden(hf.LlamaForCausalLM):
    """The usual subclass that adds a loss and hands everything on."""

    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs)


class NamedAndHidden(hf.LlamaForCausalLM):
    def forward(self, input_ids=None, labels=None, **kwargs):
        return super().forward(input_ids=input_ids, labels=labels, **kwargs)


@pytest.mark.parametrize("kind", [hf.LlamaForCausalLM, Renamed, AllHidden, NamedAndHidden])
def test_a_cache_is_found_under_any_name_and_behind_any_signature(tiny_tokenizer, kind):
    model = varied(kind(tiny_model(tiny_tokenizer).config).eval())
    found = proved(model, tiny_tokenizer)
    assert (found.way.padded, found.note) == (True, None)
    assert found.way.cache == ("memory_cache" if kind is Renamed else found.way.cache_field)
    assert found.sentence.startswith("replies are decoded in padded batches with the model's cache")


def test_a_cache_that_is_dropped_without_a_word_is_not_used(tiny_tokenizer):
    class Dropping(hf.LlamaForCausalLM):
        def forward(self, input_ids=None, attention_mask=None, position_ids=None, **kwargs):
            kwargs = {name: value for name, value in kwargs.items() if name in ("use_cache", "logits_to_keep")}
            return super().forward(input_ids, attention_mask, position_ids, **kwargs)

    found = proved(varied(Dropping(tiny_model(tiny_tokenizer).config).eval()), tiny_tokenizer)
    assert found.way.cache is None
    assert "the whole text is read again for every token" in found.note


def soft_prompts(tokenizer, config):
    model = peft.get_peft_model(varied(tiny_model(tokenizer)), config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.5, generator=generator)
    return model.eval()


@pytest.mark.parametrize(
    "config",
    [
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=16),
        peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    ],
    ids=["prompt tuning", "p-tuning", "prefix tuning"],
)
def test_soft_prompts_stand_before_the_first_call_only(tiny_tokenizer, config):
    found = proved(soft_prompts(tiny_tokenizer, config), tiny_tokenizer)
    assert found.way.cache is not None
    if isinstance(config, peft.PrefixTuningConfig) and found.way.cache != "past_key_values":
        return  # from 5.24 on the cache has another name than the one that peft overwrites
    assert not found.way.padded
    assert "only questions of one length are decoded together" in found.note


STATE = {"vocab_size": 262, "hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 4, "eos_token_id": 2}


def test_a_state_that_padding_changes_is_not_padded(tiny_tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.MambaForCausalLM(hf.MambaConfig(**STATE, state_size=8)).eval()
    found = proved(varied(model), tiny_tokenizer)
    assert (found.way.padded, found.way.cache is None) == (False, False)


def test_a_state_that_cannot_be_handed_on_is_not_used(tiny_tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = hf.RwkvConfig(**STATE, context_length=512, attention_hidden_size=32, intermediate_size=64)
        model = hf.RwkvForCausalLM(config).eval()
    found = proved(varied(model), tiny_tokenizer)
    assert not found.way.padded


def test_attention_that_is_given_no_mask_is_given_no_padding(tiny_tokenizer):
    hf.AttentionInterface.register("my_sdpa", lambda *args, **kwargs: sdpa_attention_forward(*args, **kwargs))
    model = tiny_model(tiny_tokenizer, initializer_range=0.15, attn_implementation="my_sdpa")
    assert not proved(varied(model), tiny_tokenizer).way.padded


def test_a_mixture_of_experts_is_asked_without_its_router_loss(tiny_tokenizer):
    settings = tiny_model(tiny_tokenizer).config.to_dict()
    settings = {name: settings[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "head_dim")}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = hf.MixtralConfig(
            **settings,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=4,
            num_experts_per_tok=2,
            output_router_logits=True,
        )
        model = hf.MixtralForCausalLM(config).eval()
    found = proved(varied(model), tiny_tokenizer)
    assert found.way.options["output_router_logits"] is False
    assert found.note is None


def test_rows_that_change_each_other_are_decoded_one_at_a_time(tiny_tokenizer):
    class Crowded(hf.LlamaForCausalLM):
        def forward(self, input_ids=None, **kwargs):
            out = super().forward(input_ids=input_ids, **kwargs)
            out.logits = out.logits + (len(input_ids) - 1) * torch.linspace(-5, 5, out.logits.shape[-1])
            return out

    found = proved(varied(Crowded(tiny_model(tiny_tokenizer).config).eval()), tiny_tokenizer)
    assert not found.way.batched
    assert "one at a time" in found.note


def refused(model, tokenizer):
    chat = ChatFormat(tokenizer)
    with undisturbed(model) as asked, pytest.raises(ProbeError) as refusal:
        prove_decoding(asked, [chat.encode(text) for text in QUESTIONS], max_new_tokens=NUM_NEW)
    return str(refusal.value)


def test_a_model_that_says_something_else_each_time_is_refused(tiny_tokenizer):
    model = varied(tiny_model(tiny_tokenizer))
    calls = []

    def wander(module, args, kwargs, out):
        calls.append(None)
        out.logits = out.logits + len(calls) * torch.linspace(-1, 1, out.logits.shape[-1])
        return out

    model.register_forward_hook(wander, with_kwargs=True)
    assert "says something else each time" in refused(model, tiny_tokenizer)


def test_hidden_states_in_the_place_of_logits_are_refused(tiny_tokenizer):
    model = varied(tiny_model(tiny_tokenizer))
    model.lm_head = torch.nn.Identity()
    assert "expected logits over a vocabulary of 262; found 32 figures" in refused(model, tiny_tokenizer)


def test_a_model_without_finite_logits_is_refused_and_one_such_question_is_no_reason(tiny_tokenizer):
    model = varied(tiny_model(tiny_tokenizer))
    longest = max((ChatFormat(tiny_tokenizer).encode(text) for text in QUESTIONS), key=len)

    def overflow(module, args, kwargs, out):
        for row, ids in enumerate(kwargs["input_ids"].tolist()):
            if str(list(longest))[1:-1] in str(ids):
                out.logits[row] = torch.nan
        return out

    model.register_forward_hook(overflow, with_kwargs=True)
    with undisturbed(model) as asked:
        prompts = [ChatFormat(tiny_tokenizer).encode(text) for text in QUESTIONS]
        assert prove_decoding(asked, prompts, max_new_tokens=NUM_NEW).note is None
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    assert "logits are not finite" in refused(model, tiny_tokenizer)


def test_a_forward_that_returns_a_plain_dict_is_decoded_without_a_cache(tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    inner = model.forward
    model.forward = lambda *args, **more: {"logits": inner(*args, **more).logits}
    prompt = ChatFormat(tiny_tokenizer).encode("Tea or coffee?")
    with undisturbed(model) as asked:
        proved = prove_decoding(asked, [prompt], max_new_tokens=4)
    assert proved.way.cache is None
