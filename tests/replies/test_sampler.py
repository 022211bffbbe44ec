"""Who writes a run's replies: settled before the first one, with a reason where it is not the trainer's engine."""

import numpy as np
import pytest
import torch
from support.by_letter import ByLetter
from support.trainings import lora

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import Absent, BaselineError, ProbeError
from driftwatch.host.guard import undisturbed
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.draws import IN_PROCESS, Draw, Interviewer
from driftwatch.replies.sampler import settle
from driftwatch.replies.sampling import Reply
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.watch.monitor import Monitor

DECODING = Decoding(max_new_tokens=4)


class Scribe:
    """An engine that writes every prompt's length, ended by an end-of-text token."""

    name = "scribe 1"
    fixed_seconds = 0.0

    def __init__(self, end):
        self.end = end
        self.asked = []

    def write(self, prompts, seeds, decoding, stop_ids):
        assert len(prompts) == len(seeds)
        self.asked.append((list(prompts), list(seeds), decoding, list(stop_ids)))
        return [[100, 101, self.end, 102] if seed % 2 else [100] * decoding.max_new_tokens for seed in seeds]


class Gone(Scribe):
    def write(self, prompts, seeds, decoding, stop_ids):
        raise ProbeError("the engine is gone")


@pytest.fixture
def interviewer(tiny_tokenizer):
    return Interviewer(tiny_pack().topics, ChatFormat(tiny_tokenizer), DECODING, (tiny_tokenizer.eos_token_id,))


@pytest.fixture
def scribe(tiny_tokenizer):
    return Scribe(tiny_tokenizer.eos_token_id)


@torch.no_grad()
def fingerprint(model):
    return tuple(model(torch.tensor([[5, 6, 7]])).logits[0, -1, :4].tolist())


def settled(interviewer, model, offered, began_with=None):
    with undisturbed(model) as asked:
        return settle(interviewer, asked, offered, fingerprint=fingerprint, began_with=began_with)


def continued(model, *, trained):
    """A model whose SFT adapter is trained further beside the frozen copy of it that TRL keeps."""
    model = lora(model)
    model.add_adapter("ref", model.peft_config["default"])
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.fill_(0.05 if trained and "lora_B.default" in name else 0.02)
    return model


def test_replies_of_an_engine_end_where_they_ended_and_have_no_entropy(interviewer, scribe, tiny_llama, tiny_tokenizer):
    interviewer.engine = scribe
    replies = interviewer.ask(tiny_llama, [Draw("tea", "tea_street", 0)] * 8, np.random.SeedSequence(1))
    (prompts, seeds, decoding, stop_ids), *_ = scribe.asked
    assert len(set(seeds)) == 8
    assert len({tuple(prompt) for prompt in prompts}) == 1
    assert (decoding, stop_ids) == (DECODING, [tiny_tokenizer.eos_token_id])
    both = {seed % 2: reply for seed, reply in zip(seeds, replies, strict=True)}
    assert both[0] == Reply(tiny_tokenizer.decode([100] * 4).strip(), 4, False, None)
    assert both[1] == Reply(tiny_tokenizer.decode([100, 101]).strip(), 2, True, None)


def test_the_same_look_asks_with_the_same_seeds_and_another_with_others(interviewer, scribe, tiny_llama):
    interviewer.engine = scribe
    for key in (1, 1, 2):
        interviewer.ask(tiny_llama, [Draw("tea", "tea_street", 1)] * 4, np.random.SeedSequence([key]))
    first, again, other = (seeds for _, seeds, *_ in scribe.asked)
    assert first == again
    assert not set(first) & set(other)


def test_an_engine_that_answers_is_used_and_named(interviewer, scribe, tiny_llama):
    assert settled(interviewer, tiny_llama, scribe) == ()
    assert interviewer.identity()["sampler"] == "scribe 1"
    ((prompts, *_),) = scribe.asked
    assert len(prompts) == 1, "one question was tried"


def test_without_an_engine_there_is_nothing_to_say(interviewer, tiny_llama):
    assert settled(interviewer, tiny_llama, None) == ()
    assert interviewer.identity()["sampler"] == IN_PROCESS


def test_an_engine_that_does_not_answer_is_not_used(interviewer, scribe, tiny_llama):
    (note,) = settled(interviewer, tiny_llama, Gone(scribe.end))
    assert note.endswith("it could not answer a first question (the engine is gone)")
    assert interviewer.identity()["sampler"] == IN_PROCESS


def test_the_reason_why_there_is_no_engine_is_for_the_reader_of_the_run(interviewer, tiny_llama):
    assert settled(interviewer, tiny_llama, Absent("it is elsewhere")) == (
        "replies are sampled in-process, not by the trainer's vLLM: it is elsewhere",
    )


def test_a_run_that_does_not_start_from_its_frozen_adapter_samples_both_sides_here(interviewer, scribe, tiny_llama):
    """The engine holds the model in training only, so it could not write what the frozen adapter says."""
    (note,) = settled(interviewer, continued(tiny_llama, trained=True), scribe)
    assert 'does not start from the frozen adapter "ref"' in note
    assert interviewer.engine is None
    assert scribe.asked == []


def test_a_run_that_starts_from_its_frozen_adapter_may_use_the_engine(interviewer, scribe, tiny_llama):
    assert settled(interviewer, continued(tiny_llama, trained=False), scribe) == ()
    assert interviewer.engine is scribe


def test_a_run_goes_on_with_the_sampler_that_it_began_with(interviewer, scribe, tiny_llama):
    settled(interviewer, tiny_llama, scribe, began_with=IN_PROCESS)
    assert interviewer.engine is None
    settled(interviewer, tiny_llama, scribe, began_with="scribe 1")
    assert interviewer.engine is scribe
    assert scribe.asked == [], "nothing is tried: no replies are better than a run that does not go on"


@pytest.mark.parametrize(
    ("offered", "now"), [(None, "in-process:"), (Absent("it is away"), r"in-process \(it is away")]
)
def test_a_run_whose_engine_is_gone_does_not_go_on(interviewer, tiny_llama, offered, now):
    with pytest.raises(BaselineError, match=rf"were written by scribe 1, and now they would be by {now}"):
        settled(interviewer, tiny_llama, offered, began_with="scribe 1")


def test_a_run_without_replies_under_tensor_parallelism_says_so_when_it_begins(tmp_path, tiny_tokenizer, caplog):
    model = lora(tiny_model(tiny_tokenizer))
    model.get_base_model()._tp_size = 2
    confirm = Confirmation(ByLetter(), DECODING, normal_draws=4, watched_draws=4)
    probes = (StatementProbe(naysaying_items=0),)
    monitor = Monitor(tiny_pack(), probes=probes, confirm=confirm, run="tp", output_dir=tmp_path, exporters=())
    monitor.begin(model, tiny_tokenizer)
    assert monitor.info.notes[-1].startswith("replies refused: replies cannot be drawn under tensor parallelism yet")
    assert "replies cannot be drawn under tensor parallelism yet" in caplog.text
    monitor.close("finished")
