import json
import logging

import pytest
import torch
from support.trainings import callback, lora, store, trainer
from transformers import default_data_collator

from driftwatch import DriftCallback, Schedule
from driftwatch.errors import BaselineError, ConfigError, ProbeError
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


class Failing(StatementProbe):
    """Fails at the observations in `at` (counted from the second; the first makes the baseline)."""

    def __init__(self, *at):
        super().__init__(naysaying_items=0)
        self.at, self.looks = at, 0

    def measure(self, model, *, permuted=False, **options):
        if not permuted:
            self.looks += 1
            if self.looks - 1 in self.at:
                raise ProbeError("the model could not be asked")
        return super().measure(model, permuted=permuted, **options)


def test_a_run_looks_before_training_on_schedule_and_at_the_end(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=5).train()
    found = store(tmp_path).records()
    assert [(r.step, r.phase) for r in found] == [(0, "start"), (2, "train"), (4, "train"), (5, "end")]
    assert [r.look for r in found] == [0, 1, 2, 3]
    assert store(tmp_path).state() == "finished"


def test_training_on_one_side_is_seen_as_drift_toward_its_pole(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path)]).train()
    last = store(tmp_path).records()[-1].drift("parks", "statement", "start")
    assert last.score_shift > 0
    assert last.magnitude.support > 0
    assert sum(last.magnitude) == pytest.approx(0, abs=1e-9)


def test_the_first_look_has_no_drift_at_all(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=1).train()
    first = store(tmp_path).records()[0]
    assert [d.total_variation for d in first.drifts] == [0.0] * 3


def test_a_last_step_that_was_looked_at_is_not_looked_at_again(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=4).train()
    assert [r.step for r in store(tmp_path).records()] == [0, 2, 4]


def test_probe_failure_does_not_stop_training(tmp_path, tokenizer, caplog):
    watch = callback(tmp_path, probes=(Failing(1),), on_error="warn")
    run = trainer(tmp_path, tokenizer, [watch])
    with caplog.at_level(logging.WARNING):
        run.train()
    assert run.state.global_step == 4
    assert sum("the observation at step 2 failed, training goes on" in r.message for r in caplog.records) == 1
    failed, whole = store(tmp_path).records()[1:]
    assert failed.failures[0].reason == "ProbeError: the model could not be asked"
    assert failed.stances == failed.drifts == ()
    assert whole.drifts
    assert whole.cost.failures_total == {"monitor/ProbeError": 1}


def test_a_failure_at_every_look_is_logged_once_and_counted_each_time(tmp_path, tokenizer, caplog):
    watch = callback(tmp_path, probes=(Failing(1, 2, 3),), on_error="warn")
    with caplog.at_level(logging.WARNING):
        trainer(tmp_path, tokenizer, [watch], max_steps=5).train()
    assert sum("failed, training goes on" in r.message for r in caplog.records) == 1
    assert store(tmp_path).records()[-1].cost.failures_total == {"monitor/ProbeError": 3}


def test_raise_is_for_tests(tmp_path, tokenizer):
    with pytest.raises(ProbeError):
        trainer(tmp_path, tokenizer, [callback(tmp_path, probes=(Failing(1),))]).train()


def test_a_model_whose_logits_are_not_finite_is_recorded_as_unscored(tmp_path, tokenizer):
    model = tiny_model(tokenizer)

    class Break(DriftCallback.__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            with torch.no_grad():
                model.lm_head.weight.fill_(float("nan"))

    trainer(tmp_path, tokenizer, [Break(), callback(tmp_path)], model=model).train()
    last = store(tmp_path).records()[-1]
    assert all(s.probs is None and s.unscored == "the model's logits were not finite" for s in last.stances)
    assert all(d.magnitude is None for d in last.drifts)


def test_an_operator_can_turn_a_running_job_s_looks_off(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setenv("DRIFTWATCH_DISABLED", "1")
    run = trainer(tmp_path, tokenizer, [callback(tmp_path)])
    run.train()
    assert run.state.global_step == 4
    assert not store(tmp_path).exists


def test_a_trainer_without_tokenizer_is_refused_before_training(tmp_path, tokenizer):
    run = trainer(tmp_path, tokenizer, [callback(tmp_path)])
    run.processing_class = run.callback_handler.processing_class = None
    run.data_collator = default_data_collator  # the Trainer's usual one would know the tokenizer
    with pytest.raises(ConfigError, match=r"needs a tokenizer.*processing_class"):
        run.train()
    assert run.state.global_step == 0


def test_a_tokenizer_without_chat_template_gets_a_plain_prompt_that_its_identity_names(tmp_path):
    plain = tiny_tokenizer(chat_template=None)
    trainer(tmp_path, plain, [callback(tmp_path)], max_steps=1).train()
    assert store(tmp_path).info().identity["statement/template"].startswith("plain:")


def test_a_setting_that_cannot_work_raises_at_construction(tmp_path):
    with pytest.raises(ConfigError, match=r"a probability over 0 and under 1 as .alpha."):
        callback(tmp_path, alpha=2)
    with pytest.raises(ConfigError, match="on_error"):
        callback(tmp_path, on_error="ignore")
    with pytest.raises(ConfigError, match="every_steps"):
        callback(tmp_path, schedule=Schedule(every_steps=0))
    with pytest.raises(ConfigError, match=r"at least one entry in .probes."):
        callback(tmp_path, probes=())


# Baselines


def test_a_preference_run_is_compared_with_the_sft_run_and_with_its_own_start(tmp_path, tokenizer):
    model = tiny_model(tokenizer)
    trainer(tmp_path, tokenizer, [callback(tmp_path, run="sft")], model=model).train()
    trainer(tmp_path, tokenizer, [callback(tmp_path, run="dpo", baseline=tmp_path / "runs/sft")], model=model).train()
    info, records = store(tmp_path, "dpo").info(), store(tmp_path, "dpo").records()
    assert set(info.baselines) == {"start", "sft"}
    assert info.alerting_baseline == "sft"
    assert info.notes == ()
    assert records[0].drift("parks", "statement", "sft").score_shift == pytest.approx(0, abs=1e-4)
    against = [records[-1].drift("parks", "statement", name).score_shift for name in ("start", "sft")]
    assert against[0] == pytest.approx(against[1], abs=1e-4)


def test_a_run_that_does_not_start_from_the_sft_model_says_so(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path, run="sft")]).train()
    other = tiny_model(tokenizer, seed=5)
    watch = callback(tmp_path, run="dpo", baseline=tmp_path / "runs/sft")
    trainer(tmp_path, tokenizer, [watch], model=other).train()
    assert "you do not start from this SFT model" in store(tmp_path, "dpo").info().notes[0]


def test_a_baseline_of_another_pack_is_refused_with_the_part_that_differs(tmp_path, tokenizer):
    from dataclasses import replace

    trainer(tmp_path, tokenizer, [callback(tmp_path, run="sft")], max_steps=1).train()
    pack = tiny_pack()
    fewer = replace(pack, topics=pack.topics[:2])
    watch = DriftCallback(fewer, baseline=tmp_path / "runs/sft", output_dir=tmp_path / "runs", exporters=())
    run = trainer(tmp_path, tokenizer, [watch])
    with pytest.raises(BaselineError, match=r"cannot be compared with this run: the topic pack"):
        run.train()
    assert run.state.global_step == 0


def test_a_missing_baseline_says_how_to_make_one(tmp_path, tokenizer):
    watch = callback(tmp_path, baseline=tmp_path / "nothing")
    with pytest.raises(BaselineError, match=r"found neither.*driftwatch baseline MODEL"):
        trainer(tmp_path, tokenizer, [watch]).train()


def test_a_half_written_baseline_is_refused(tmp_path, tokenizer):
    (tmp_path / "b").mkdir()
    (tmp_path / "b/baseline.json").write_text('{"name": "sft", "model"')
    with pytest.raises(BaselineError, match="half-written or foreign"):
        trainer(tmp_path, tokenizer, [callback(tmp_path, baseline=tmp_path / "b")]).train()


def test_with_a_fresh_lora_the_sft_model_is_reached_by_switching_it_off(tmp_path, tokenizer):
    model = lora(tiny_model(tokenizer))
    before = [parameter.requires_grad for parameter in model.parameters()]
    trainer(tmp_path, tokenizer, [callback(tmp_path)], model=model).train()
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert store(tmp_path).info().alerting_baseline == "sft"
    assert store(tmp_path).baseline("sft").notes == ("the base weights without adapters",)
    assert store(tmp_path).records()[-1].drift("parks", "statement", "sft").score_shift != 0


def test_a_continued_adapter_without_its_frozen_copy_is_not_taken_for_the_sft_model(tmp_path, tokenizer):
    model = lora(tiny_model(tokenizer))
    trainer(tmp_path, tokenizer, [], model=model).train()
    trainer(tmp_path, tokenizer, [callback(tmp_path)], model=model).train()
    info = store(tmp_path).info()
    assert info.baselines == ("start",)
    assert "are not the SFT model that it continues" in info.notes[0]


def test_a_frozen_copy_of_a_continued_adapter_is_the_sft_model(tmp_path, tokenizer):
    """What TRL does when an SFT adapter is continued: a frozen adapter named "ref" beside it."""
    model = lora(tiny_model(tokenizer))
    trainer(tmp_path, tokenizer, [], model=model).train()
    model.add_adapter("ref", model.peft_config["default"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".ref." in name:
                parameter.copy_(model.get_parameter(name.replace(".ref.", ".default.")))
                parameter.requires_grad_(False)
    trainer(tmp_path, tokenizer, [callback(tmp_path)], model=model).train()
    kept = store(tmp_path)
    assert kept.baseline("sft").notes == ('the frozen adapter "ref"',)
    assert kept.records()[0].drift("parks", "statement", "sft").score_shift == pytest.approx(0, abs=1e-5)
    assert model.active_adapter == "default"


def test_trained_biases_forbid_switching_adapters_off(tmp_path, tokenizer):
    model = lora(tiny_model(tokenizer, attention_bias=True), bias="all")
    with pytest.raises(ConfigError, match=r'baseline "sft", and there is none.*trains biases'):
        trainer(tmp_path, tokenizer, [callback(tmp_path, alerting_baseline="sft")], model=model).train()


def test_whether_the_instrument_works_on_the_model_is_kept_with_the_run(tmp_path, tokenizer):
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=1).train()
    rows = json.loads((tmp_path / "runs/r1/reliability.json").read_text())
    assert [row["topic"] for row in rows] == ["parks", "noise", "tea"]
    assert all(0 <= row["frame_consistency"] <= 1 and row["reply_coverage"] is None for row in rows)


# Resume


def test_a_resumed_run_goes_on_without_a_gap_or_a_duplicate(tmp_path, tokenizer):
    first = trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=6, save_strategy="steps", save_steps=4)
    first.train()
    assert [r.step for r in store(tmp_path).records()] == [0, 2, 4, 6]
    again = trainer(tmp_path, tokenizer, [callback(tmp_path, run=None)], max_steps=8)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    records = store(tmp_path).records()
    assert [(r.attempt, r.step) for r in records] == [(0, 0), (0, 2), (0, 4), (1, 6), (1, 8)]
    looks = [r.look for r in store(tmp_path).records(superseded=True)]
    assert looks == sorted(set(looks)) == list(range(len(looks)))
    assert records[-1].cost.observations_total == len(looks)
    assert store(tmp_path).state() == "finished"


def test_a_restored_callback_keeps_its_probes_and_goes_on(tmp_path, tokenizer):
    """Transformers replaces the callback by one made from plain values when it is told to restore callbacks."""
    options = {"save_strategy": "steps", "save_steps": 4, "restore_callback_states_from_checkpoint": True}
    trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=4, **options).train()
    watch = callback(tmp_path)
    again = trainer(tmp_path, tokenizer, [watch], max_steps=8, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    assert [(r.attempt, r.step) for r in store(tmp_path).records()] == [(0, 0), (0, 2), (0, 4), (1, 6), (1, 8)]


def test_a_checkpoint_whose_run_folder_is_gone_begins_a_new_run_and_says_so(tmp_path, tokenizer, caplog):
    import shutil

    trainer(tmp_path, tokenizer, [callback(tmp_path)], save_strategy="steps", save_steps=4).train()
    shutil.rmtree(tmp_path / "runs")
    again = trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=6)
    with caplog.at_level(logging.WARNING):
        again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    assert "the run folder of its checkpoint is gone" in caplog.text
    assert [r.step for r in store(tmp_path).records()] == [4, 6]


def test_training_goes_on_from_a_checkpoint_that_was_made_without_driftwatch(tmp_path, tokenizer):
    saving = {"save_strategy": "steps", "save_steps": 2}
    trainer(tmp_path, tokenizer, [], max_steps=2, **saving).train()
    again = trainer(tmp_path, tokenizer, [callback(tmp_path)], max_steps=4, **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    assert [r.step for r in store(tmp_path).records()] == [2, 4]
    assert (tmp_path / "out/checkpoint-4").is_dir()


def test_a_second_training_of_the_same_name_gets_a_folder_of_its_own(tmp_path, tokenizer):
    watch = callback(tmp_path)
    run = trainer(tmp_path, tokenizer, [watch], max_steps=2)
    run.train()
    run.train()
    assert [r.step for r in store(tmp_path).records()] == [0, 2]
    assert [r.step for r in store(tmp_path, "r1-2").records()] == [0, 2]


def test_what_goes_into_a_checkpoint_is_plain_json(tmp_path, tokenizer):
    watch = callback(tmp_path)
    trainer(tmp_path, tokenizer, [watch], max_steps=2).train()
    entry = json.loads(json.dumps(watch.state()))
    assert entry["attributes"]["progress"]["folder"] == str(tmp_path / "runs/r1")
