import pytest
import torch

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import ConfigError, ProbeError
from driftwatch.host.guard import undisturbed
from driftwatch.replies.decoder import DecodingWay
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import NOT_FINITE, _choose, model_stop_ids, sample
from driftwatch.testing import tiny_model

# transformers 5.24 calls it "cache", and takes the old name with a notice.
pytestmark = pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")
QUESTIONS = ["Tea or coffee?", "Which is closer to your view?\n– A\n– B", "Why?", "What do you think of the sea?", "Hm"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ask(model, tokenizer, questions=QUESTIONS, *, seed=0, **settings):
    with undisturbed(model) as asked:
        return sample(asked, ChatFormat(tokenizer), questions, generator=seeded(seed), **settings)


@pytest.fixture
def peaked(tiny_tokenizer):
    """A model whose next token is all but certain, so that rounding cannot change a reply."""
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
    return model


def test_a_seed_repeats_the_replies_and_another_does_not(tiny_llama, tiny_tokenizer):
    assert ask(tiny_llama, tiny_tokenizer) == ask(tiny_llama, tiny_tokenizer)
    assert ask(tiny_llama, tiny_tokenizer) != ask(tiny_llama, tiny_tokenizer, seed=1)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_a_reply_does_not_depend_on_the_batch_it_stands_in(peaked, tiny_tokenizer, batch_size):
    texts = [reply.text for reply in ask(peaked, tiny_tokenizer, batch_size=batch_size)]
    assert texts == [reply.text for reply in ask(peaked, tiny_tokenizer, batch_size=5)]


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_left_padding_does_not_change_what_is_likeliest(tiny_tokenizer, kind):
    model = tiny_model(tiny_tokenizer, kind)
    together = ask(model, tiny_tokenizer, temperature=0, batch_size=8)
    alone = [ask(model, tiny_tokenizer, [question], temperature=0, batch_size=1)[0] for question in QUESTIONS]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_the_cache_changes_nothing(tiny_llama, tiny_tokenizer):
    class Forgetful(torch.nn.Module):
        """The same model without a cache, as some state-space models appear."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.config = inner.config

        def forward(self, input_ids, attention_mask=None, position_ids=None):
            return self.inner(input_ids, attention_mask, position_ids=position_ids, use_cache=False)

    forgetful = Forgetful(tiny_llama)
    with torch.no_grad():
        found = sample(forgetful, ChatFormat(tiny_tokenizer), QUESTIONS, generator=seeded(), max_new_tokens=6)
    assert [r.text for r in found] == [r.text for r in ask(tiny_llama, tiny_tokenizer, max_new_tokens=6)]


def test_greedy_replies_are_those_of_generate(tiny_llama, tiny_tokenizer):
    chat = ChatFormat(tiny_tokenizer)
    ids = torch.tensor([chat.encode(QUESTIONS[0])])
    with torch.no_grad():
        theirs = tiny_llama.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    ours = ask(tiny_llama, tiny_tokenizer, QUESTIONS[:1], temperature=0, max_new_tokens=12)[0]
    assert ours.text == chat.decode(theirs[0, ids.shape[1] :].tolist())


def test_peft_models_are_asked_with_their_adapters(tiny_tokenizer):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_model(tiny_tokenizer), LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    plain = ask(model, tiny_tokenizer, temperature=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=seeded())
    assert ask(model, tiny_tokenizer, temperature=0) != plain
    with model.disable_adapter():
        assert ask(model, tiny_tokenizer, temperature=0) == plain


def test_no_global_generator_is_touched(tiny_llama, tiny_tokenizer):
    before = torch.get_rng_state()
    with torch.no_grad():
        sample(tiny_llama, ChatFormat(tiny_tokenizer), QUESTIONS, generator=seeded(), top_p=0.9)
    assert torch.equal(torch.get_rng_state(), before)


def test_given_numbers_are_used_row_by_row(peaked, tiny_tokenizer):
    """So that a rank that asks every second question gets the replies that one process would get."""
    uniforms = torch.rand(5, 24, generator=seeded())
    with undisturbed(peaked) as asked:
        chat = ChatFormat(tiny_tokenizer)
        some = sample(asked, chat, QUESTIONS[::2], uniforms=uniforms[::2])
        every = sample(asked, chat, QUESTIONS, uniforms=uniforms)
    assert [r.text for r in some] == [r.text for r in every[::2]]


def test_a_stop_token_ends_a_reply_and_is_not_in_it(tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        model.lm_head.weight.zero_()  # every token alike: the likeliest is the first, <|endoftext|>
    reply = ask(model, tiny_tokenizer, ["Hm"], temperature=0, stop_ids=[0])[0]
    assert (reply.text, reply.num_tokens, reply.finished) == ("", 0, True)


def test_a_reply_at_the_limit_is_not_finished(tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    reply = ask(model, tiny_tokenizer, ["Hm"], temperature=0, max_new_tokens=5)[0]
    assert (reply.num_tokens, reply.finished) == (5, False)


def test_entropy_is_that_of_the_next_token_whatever_the_temperature(tiny_tokenizer):
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    for temperature in (0, 0.7):
        reply = ask(model, tiny_tokenizer, ["Hm"], temperature=temperature)[0]
        assert reply.entropy == pytest.approx(torch.log(torch.tensor(float(len(tiny_tokenizer)))).item(), rel=1e-5)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_draws_have_the_distribution_that_was_asked_for(top_p, whole):
    probs = torch.tensor([0.1, 0.5, 0.05, 0.2, 0.15])
    uniforms = (torch.arange(10_000) + 0.5) / 10_000
    logits = probs.log().mul(2).expand(10_000, -1)  # temperature 2 brings it back to probs
    drawn = _choose(logits, uniforms, Decoding(temperature=2.0, top_p=top_p), whole=whole)
    expected = probs if top_p == 1 else torch.tensor([0, 5 / 7, 0, 2 / 7, 0])  # 0.5 + 0.2 passes 0.6
    assert torch.bincount(drawn, minlength=5) / 10_000 == pytest.approx(expected, abs=2e-3)


def test_a_token_owns_its_share_of_the_unit_interval_to_the_last_bit():
    """Probabilities 1/4 and 3/4: uniform numbers below 1/4 are the first token's, 1/4 itself is the second's."""
    logits = torch.tensor([1.0, 3.0]).log().expand(4, -1)
    uniforms = torch.tensor([0.0, 0.25 - 2**-24, 0.25, 1 - 2**-24])
    assert _choose(logits, uniforms, Decoding(temperature=1.0), whole=True).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("whole", [False, True])
def test_a_nucleus_smaller_than_any_token_is_the_likeliest_one(whole):
    logits = torch.tensor([[0.0, 5.0, 1.0]])
    assert _choose(logits, torch.tensor([0.9]), Decoding(top_p=1e-12), whole=whole).tolist() == [1]


@pytest.mark.parametrize("whole", [False, True])
def test_certain_draws_never_leave_the_vocabulary(whole):
    logits = torch.full((2, 7), -torch.inf)
    logits[:, 3] = 0
    extremes = torch.tensor([0.0, 1 - 2**-24])
    assert _choose(logits, extremes, Decoding(top_p=0.5), whole=whole).tolist() == [3, 3]


def test_memory_running_out_halves_the_batch_and_changes_no_reply(peaked, tiny_tokenizer, monkeypatch):
    expected = ask(peaked, tiny_tokenizer, batch_size=1)
    forward = type(peaked).forward
    sizes = []

    def scarce(self, input_ids=None, **kwargs):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("scarce")
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(peaked), "forward", scarce)
    found = ask(peaked, tiny_tokenizer, batch_size=8, way=DecodingWay())
    assert [r.text for r in found] == [r.text for r in expected]
    assert sizes[:3] == [8, 4, 2]


def test_one_row_that_does_not_fit_is_said(tiny_llama, tiny_tokenizer, monkeypatch):
    def full(self, *args, **kwargs):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(type(tiny_llama), "forward", full)
    with pytest.raises(ProbeError, match="batch of 1 replies does not fit into memory"):
        ask(tiny_llama, tiny_tokenizer, batch_size=1, way=DecodingWay())
    with pytest.raises(ProbeError, match="out of memory while trying how replies can be decoded"):
        ask(tiny_llama, tiny_tokenizer)


def test_nan_logits_are_said(tiny_llama, tiny_tokenizer):
    with torch.no_grad():
        tiny_llama.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ProbeError, match="logits are not finite"):
        ask(tiny_llama, tiny_tokenizer)


def test_a_question_whose_logits_are_not_finite_costs_its_own_reply_and_no_other(peaked, tiny_tokenizer):
    """As one overflowing input does in float16."""
    expected = ask(peaked, tiny_tokenizer)
    asked = ChatFormat(tiny_tokenizer).encode(QUESTIONS[3])

    def overflow(module, args, kwargs, out):
        rows = [[token for token in row if token][: len(asked)] for row in kwargs["input_ids"].tolist()]
        out.logits[[index for index, row in enumerate(rows) if row == list(asked)]] = torch.nan
        return out

    peaked.register_forward_hook(overflow, with_kwargs=True)
    found = ask(peaked, tiny_tokenizer)
    assert (found[3].text, found[3].missing) == ("", NOT_FINITE)
    assert [reply.text for reply in found[:3] + found[4:]] == [reply.text for reply in expected[:3] + expected[4:]]


def test_an_error_inside_the_models_forward_is_one_of_the_probe(tiny_llama, tiny_tokenizer, monkeypatch):
    def broken(self, *args, **kwargs):
        raise KeyError("router")

    monkeypatch.setattr(type(tiny_llama), "forward", broken)
    with pytest.raises(ProbeError, match="the model failed while it was asked for replies: KeyError"):
        ask(tiny_llama, tiny_tokenizer, way=DecodingWay())


def test_prompts_of_one_length_are_decoded_together_where_padding_is_not_right(peaked, tiny_tokenizer):
    questions = [*QUESTIONS, "Coffee or milk?", "Who?"]
    padded = ask(peaked, tiny_tokenizer, questions)
    sizes = []
    peaked.register_forward_hook(lambda _, args, kwargs, out: sizes.append(out.logits.shape[0]), with_kwargs=True)
    uniforms = torch.rand(len(questions), 24, generator=seeded())
    with undisturbed(peaked) as asked:
        chat = ChatFormat(tiny_tokenizer)
        found = sample(asked, chat, questions, uniforms=uniforms, way=DecodingWay(padded=False))
        assert set(sizes) == {1, 2}, "two of the questions have one length"
        num_forwards = len(sizes)
        again = sample(asked, chat, questions, uniforms=uniforms, way=DecodingWay(padded=False), num_batches=9)
    assert [reply.text for reply in found] == [reply.text for reply in padded]
    assert again == found, "batches that another rank needs change nothing here"
    assert len(sizes) > 2 * num_forwards


def test_a_model_that_skips_its_logits_is_said(tiny_llama, tiny_tokenizer, monkeypatch):
    forward = type(tiny_llama).forward

    def skipping(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        output.logits = None
        return output

    monkeypatch.setattr(type(tiny_llama), "forward", skipping)
    with pytest.raises(ProbeError, match="returned no logits"):
        ask(tiny_llama, tiny_tokenizer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "a number of at least 0 as .temperature., found the number -1.0"),
        ({"top_p": 0.0}, "a probability over 0 and at most 1 as .top_p., found the number 0.0"),
        ({"max_new_tokens": 0}, "a whole number of at least 1 as .max_new_tokens., found the number 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Decoding(**settings)


def test_no_question_is_no_reply(tiny_llama, tiny_tokenizer):
    assert ask(tiny_llama, tiny_tokenizer, []) == []


def test_stop_tokens_come_from_both_configs(tiny_llama):
    tiny_llama.generation_config.eos_token_id = [1, 2]
    assert model_stop_ids(tiny_llama) == {1, 2, tiny_llama.config.eos_token_id}
