"""Replies of every architecture and kind of adapter at hand are what the model says, or there are none."""

import warnings

import peft
import pytest
import torch
from support.small_models import NAMES, small_model

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import ProbeError
from driftwatch.host.guard import undisturbed
from driftwatch.host.wrappers import model_stop_ids
from driftwatch.replies.decoding_trial import prove_decoding
from driftwatch.replies.sampling import sample
from driftwatch.testing import tiny_model

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.filterwarnings("ignore"),  # of a hundred foreign models
]
NUM_NEW = 8
SHORT = ("Hm?", "Tea or coffee?", "Why would anybody want that at all?", "Oh?")
QUESTIONS = (
    *SHORT,
    "Which is closer to your view?\n– I want more trees in the street.\n– Our street needs new houses.",
)


def alone(model, prompt, stops):
    ids = list(prompt)
    for _ in range(NUM_NEW):
        token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in stops:
            break
        ids.append(token)
    return ids[len(prompt) :]


def told(model, tokenizer):
    """How replies of a model are decoded, "refused", or which of them are not what it says."""
    chat = ChatFormat(tokenizer)
    prompts = [chat.encode(text) for text in QUESTIONS]
    stops = {*chat.stop_ids, *model_stop_ids(model)}
    with undisturbed(model) as asked, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            way = prove_decoding(asked, prompts, max_new_tokens=NUM_NEW, stop_ids=sorted(stops)).way
        except ProbeError:
            return "refused"
        found = sample(
            asked,
            chat,
            QUESTIONS,
            generator=torch.Generator().manual_seed(0),
            temperature=0,
            max_new_tokens=NUM_NEW,
            batch_size=4,
            prompt_length=max(map(len, prompts)) + 2,
            way=way,
        )
        expected = [chat.decode(alone(asked, prompt, stops)) for prompt in prompts]
    wrong = [index for index, reply in enumerate(found) if reply.text != expected[index]]
    if wrong:
        return f"{len(wrong)} of {len(found)} replies are wrong by {way}"
    return "padded" if way.padded else "equal length" if way.cache else "no cache" if way.batched else "one at a time"


def test_replies_of_every_architecture_are_what_it_says(tiny_tokenizer, record_property):
    found = {}
    for name in NAMES:
        model = small_model(name, len(tiny_tokenizer))
        if model is not None:
            found[name] = told(model, tiny_tokenizer)
    ways = {way: [name for name in found if found[name] == way] for way in dict.fromkeys(found.values())}
    record_property("ways", ways)
    print({way: (len(names), names if way != "padded" else "") for way, names in ways.items()})  # noqa: T201 - the nightly report
    assert len(found) >= 50
    assert not {name: text for name, text in found.items() if "wrong" in text}
    assert len(ways.get("refused", ())) <= 2, "a refusal is the exception"
    assert len(ways["padded"]) >= 50


T = ["q_proj", "v_proj"]
COMMON = {"task_type": "CAUSAL_LM"}
ADAPTERS = {
    "LoRA": lambda: peft.LoraConfig(r=2, target_modules=T, **COMMON),
    "DoRA": lambda: peft.LoraConfig(r=2, target_modules=T, use_dora=True, **COMMON),
    "VeRA": lambda: peft.VeraConfig(r=2, target_modules=["q_proj"], **COMMON),
    "IA3": lambda: peft.IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **COMMON
    ),
    "LoHa": lambda: peft.LoHaConfig(r=2, target_modules=T, **COMMON),
    "LoKr": lambda: peft.LoKrConfig(r=2, target_modules=T, **COMMON),
    "OFT": lambda: peft.OFTConfig(oft_block_size=8, r=0, target_modules=T, **COMMON),
    "LN tuning": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], **COMMON),
    "prompt tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=4, **COMMON),
    "p-tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=16, **COMMON),
    "prefix tuning": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4, **COMMON),
    "adaption prompt": lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=1, **COMMON),
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_replies_of_every_kind_of_adapter_are_what_the_model_says(tiny_tokenizer, kind):
    base = tiny_model(tiny_tokenizer, initializer_range=0.15)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = peft.get_peft_model(base, ADAPTERS[kind]()).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    way = told(model, tiny_tokenizer)
    assert way in ("padded", "equal length", "no cache")
    if kind not in ("prompt tuning", "p-tuning", "prefix tuning", "adaption prompt"):
        assert way == "padded"
