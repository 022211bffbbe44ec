"""Where no reply of a model can be trusted its run goes on with the screen, and says why."""

import pytest
import torch
from support.by_letter import ByLetter
from support.trainings import lora

from driftwatch.errors import ProbeError
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies import draws
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import NOT_FINITE
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.watch.monitor import Monitor

WHY = "this model says something else each time"


def monitor(folder, draws_a_topic=4):
    confirm = Confirmation(
        ByLetter(), Decoding(max_new_tokens=4), normal_draws=draws_a_topic, watched_draws=draws_a_topic
    )
    probes = (StatementProbe(naysaying_items=0),)
    return Monitor(tiny_pack(), probes=probes, confirm=confirm, run="r", output_dir=folder, exporters=(), seed=0)


def refusing(*_, **__):
    raise ProbeError(f"{WHY}.")


def observed(folder, model, tokenizer, **options):
    watch = monitor(folder)
    watch.begin(model, tokenizer, planned_steps=4, **options)
    record = watch.observe(model, 2)
    watch.close("finished")
    return watch.info, record


@pytest.mark.parametrize("adapters", [False, True])
def test_a_run_whose_replies_are_refused_keeps_its_screen_and_goes_on(
    tmp_path, tiny_tokenizer, monkeypatch, caplog, adapters
):
    model = lora(tiny_model(tiny_tokenizer)) if adapters else tiny_model(tiny_tokenizer)
    with monkeypatch.context() as patched:
        patched.setattr(draws, "prove_decoding", refusing)
        info, record = observed(tmp_path, model, tiny_tokenizer)
    assert (info.replies_drawn, info.replies_refused) == (False, WHY)
    assert f"replies refused: {WHY}; the screen goes on" in info.notes[-1]
    assert f"no replies are drawn in this run: {WHY}" in caplog.text
    assert record.drifts
    assert (record.evidence, record.failures) == ((), ())
    info, record = observed(tmp_path, model, tiny_tokenizer, step=1, resume=tmp_path / "r")
    assert info.replies_refused == WHY, "evidence cannot begin in the middle of a run"
    assert record.evidence == ()


def test_a_baseline_whose_replies_fail_before_training_ends_no_training(tmp_path, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(draws.Interviewer, "ask", refusing)
    info, record = observed(tmp_path, tiny_model(tiny_tokenizer), tiny_tokenizer)
    why = f"the baseline's could not be had before training: ProbeError: {WHY}."
    assert (info.replies_refused, RunStore(tmp_path / "r").info().replies_refused) == (why, why)
    assert record.drifts
    observed(tmp_path, tiny_model(tiny_tokenizer), tiny_tokenizer, step=1, resume=tmp_path / "r")


def test_one_question_that_is_not_finite_costs_its_draws_and_no_look(tmp_path, tiny_tokenizer):
    model = lora(tiny_model(tiny_tokenizer))
    word = tiny_tokenizer(" harbour", add_special_tokens=False)["input_ids"]

    def overflow(module, args, kwargs, out):
        hit = [str(word)[1:-1] in str(row) for row in kwargs["input_ids"].tolist()]
        out.logits[torch.tensor(hit)] = torch.nan
        return out

    model.get_base_model().register_forward_hook(overflow, with_kwargs=True)
    watch = monitor(tmp_path, draws_a_topic=16)
    watch.begin(model, tiny_tokenizer, planned_steps=4)
    records = [watch.observe(model, step) for step in (1, 2, 3, 4)]
    watch.close("finished")
    assert watch.info.replies_refused is None
    assert not [failure for record in records for failure in record.failures]
    assert max(row.num_draws for row in records[-1].evidence) >= 16
    replies = list((tmp_path / "r" / "replies").glob("*.jsonl"))
    assert any(NOT_FINITE in file.read_text() for file in replies)
