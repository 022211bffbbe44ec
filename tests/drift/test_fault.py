"""A model that is not finite is a finding; one question that overflows is not."""

from dataclasses import replace

import pytest
from torch import no_grad
from transformers import Trainer, TrainerCallback, TrainingArguments

from driftwatch import DriftCallback, Schedule
from driftwatch.drift.compare import Drift
from driftwatch.drift.fault import BEYOND_MEASURE, find_fault
from driftwatch.report.summary import summarise
from driftwatch.stance import Probs, Stance
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer

WHY = "the model's logits were not finite"


def asked(broken, whole=20):
    fine = [Stance("work", f"w{i}", "statement", probs=Probs(0.3, 0.3, 0.4)) for i in range(whole - broken)]
    return fine + [Stance("work", f"x{i}", "statement", unscored=WHY) for i in range(broken)]


def shifted(*shifts):
    return [Drift(f"t{i}", "statement", "start", log_odds_shift=shift) for i, shift in enumerate(shifts)]


@pytest.mark.parametrize(("broken", "found"), [(0, False), (1, False), (10, False), (11, True), (20, True)])
def test_more_than_half_of_what_was_asked_is_the_line(broken, found):
    fault = find_fault(30, stances=asked(broken))
    assert (fault is not None) == found
    if fault is not None:
        assert (fault.kind, fault.since_step) == ("not_finite", 30)


@pytest.mark.parametrize(
    ("shifts", "found"),
    [
        ((BEYOND_MEASURE - 1, BEYOND_MEASURE - 1), False),
        ((1e28, 0.1, 0.1), False),  # one topic does not speak for the model
        ((-1e28, 1e28, 0.1), True),
        ((), False),
    ],
)
def test_numbers_beyond_all_measure_are_no_finite_model(shifts, found):
    fault = find_fault(30, stances=asked(0), drifts=shifted(*shifts))
    assert (fault is not None) == found
    assert fault is None or "10^28 nats per token since step 30" in fault.text


def test_a_look_that_could_not_ask_at_all_says_it_by_its_failure():
    assert find_fault(30, failures=["ProbeError: the model's logits are not finite, so nothing"]).since_step == 30
    assert find_fault(30, failures=["ProbeError: out of memory"]) is None
    assert find_fault(30, stances=asked(0), failures=["ProbeError: logits are not finite"]) is None, (
        "the screen is whole"
    )


def test_since_when_is_kept_until_a_look_is_finite_again():
    first = find_fault(30, stances=asked(20))
    assert find_fault(40, stances=asked(20), before=first).since_step == 30
    assert find_fault(40, failures=["out of memory"], before=first) == first, "nothing was measured"
    assert find_fault(40, stances=asked(0), before=first) is None
    assert find_fault(20, stances=asked(20), before=first).since_step == 20, "training went back to before it"
    assert find_fault(20, before=first) is None


class Spoil(TrainerCallback):
    def __init__(self, factor):
        self.factor = factor

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == 1:
            with no_grad():
                model.lm_head.weight.mul_(self.factor)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e30])
def test_a_model_that_breaks_in_training_raises_one_critical_alert_and_is_counted(factor, tmp_path):
    tokenizer = tiny_tokenizer()
    watch = DriftCallback(
        tiny_pack(),
        run="spoilt",
        output_dir=tmp_path,
        exporters=(),
        schedule=Schedule(every_steps=1, early_dense=False, budget=None),
    )
    ids = tokenizer("I want more nature in the street. ")["input_ids"]
    arguments = TrainingArguments(
        str(tmp_path / "out"), max_steps=3, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True
    )
    Trainer(
        model=tiny_model(tokenizer, initializer_range=0.1),
        args=arguments,
        train_dataset=[{"input_ids": ids, "labels": ids}] * 32,
        processing_class=tokenizer,
        callbacks=[watch, Spoil(factor)],
    ).train()
    records = watch.monitor.store.records()
    told = [alert for record in records for alert in record.alerts]
    assert [(alert.topic, alert.label, alert.severity) for alert in told] == [("model", "model", "critical")]
    assert "since step 2" in told[0].text
    assert [record.fault is not None for record in records] == [record.step >= 2 for record in records]
    last = records[-1]
    assert last.fault.since_step == 2
    assert last.cost.failures_total[f"model/{last.fault.kind}"] == sum(record.fault is not None for record in records)
    found = summarise(watch.monitor.store).verdict
    assert (found.state, found.reason) == ("cannot_tell", "not_finite")
    assert "since step 2" in found.headline
    assert replace(last, fault=None).found_anything
