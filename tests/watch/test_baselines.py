"""Which baseline a run's alerts rest on: one that can be asked for replies, by its right name."""

import pytest
import torch
from support.by_letter import confirmation
from support.trainings import lora

from driftwatch.errors import BaselineError, ConfigError, ProbeError
from driftwatch.probes.statement import StatementProbe
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.watch.baselines import FILE, load_baseline
from driftwatch.watch.instrument import ask_once
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.schedule import Schedule

PROBES = (StatementProbe(naysaying_items=0),)


@pytest.fixture
def sft(tmp_path, tiny_tokenizer):
    """A baseline of the model with seed 0, as `driftwatch baseline` leaves one."""
    folder = tmp_path / "sft"
    folder.mkdir()
    model = tiny_model(tiny_tokenizer)
    RunStore(folder).write_json(FILE, ask_once(model, tiny_tokenizer, tiny_pack(), model_name="sft", probes=PROBES))
    return folder


def watched(tmp_path, model, tokenizer, *, looks=1, confirm=None, **options):
    """A run of a few observations on a model that learns nothing; its monitor and its records."""
    monitor = Monitor(
        tiny_pack(), probes=PROBES, confirm=confirm, exporters=(), output_dir=tmp_path / "runs", run="dpo", **options
    )
    monitor.begin(model, tokenizer, planned_steps=looks)
    for look in range(looks):
        monitor.observe(model, look + 1, phase="end" if look == looks - 1 else "train")
    monitor.close("finished")
    return monitor, RunStore(tmp_path / "runs/dpo").records()


def with_a_frozen_copy(model, *, changed=0.0):
    """As TRL leaves it: the SFT adapter under the name "ref", and the one in training, perhaps further on."""
    model = lora(model)
    model.add_adapter("ref", model.peft_config["default"])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".ref." in name:
                parameter.normal_(0, 0.3, generator=generator)
                model.get_parameter(name.replace(".ref.", ".default.")).copy_(parameter * (1 + changed))
                parameter.requires_grad_(False)
    return model


def replied_from(records):
    """The baseline that drifts of replies are said to be against."""
    found = {drift.baseline for record in records for drift in record.drifts if drift.probe == "confirm"}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("wrapped", [lambda model: model, lora], ids=["decoded before", "asked on demand"])
def test_where_a_run_does_not_start_from_the_sft_model_alerts_rest_on_the_start_that_gives_the_replies(
    tmp_path, tiny_tokenizer, sft, wrapped
):
    other = wrapped(tiny_model(tiny_tokenizer, seed=5))
    monitor, records = watched(tmp_path, other, tiny_tokenizer, baseline=sft, confirm=confirmation())
    assert monitor.info.alerting_baseline == "start"
    assert set(monitor.info.baselines) == {"start", "sft"}
    (note,) = monitor.info.notes
    assert "you do not start from this SFT model" in note
    assert 'alerts rest on "start"' in note
    assert "start from that model" in note
    assert replied_from(records) == "start"
    assert {d.baseline for d in records[-1].drifts if d.probe == "statement"} == {"start", "sft"}
    kept = RunStore(tmp_path / "runs/dpo")
    assert kept.baseline("start").calibration is not None, "what alerts rest on calibrates the screen"


def test_a_run_that_does_not_start_from_the_sft_model_goes_on_as_it_began(tmp_path, tiny_tokenizer, sft):
    other = tiny_model(tiny_tokenizer, seed=5)
    first, _ = watched(tmp_path, other, tiny_tokenizer, baseline=sft, confirm=confirmation())
    again = Monitor(tiny_pack(), probes=PROBES, confirm=confirmation(), exporters=(), output_dir=tmp_path / "runs")
    again.begin(other, tiny_tokenizer, step=1, planned_steps=3, resume=first.store.folder)
    record = again.observe(other, 2)
    again.close("finished")
    assert again.info.alerting_baseline == "start"
    assert replied_from([record]) == "start"


def test_alerts_that_shall_rest_on_replies_that_cannot_be_had_are_refused_before_training(
    tmp_path, tiny_tokenizer, sft
):
    other = tiny_model(tiny_tokenizer, seed=5)
    with pytest.raises(ConfigError, match=r"drawn of the start only, since you do not start .*Start from that model"):
        watched(tmp_path, other, tiny_tokenizer, baseline=sft, alerting_baseline="sft", confirm=confirmation())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("alerting", [None, "sft"])
def test_a_run_without_replies_may_compare_with_any_sft_model(tmp_path, tiny_tokenizer, sft, alerting):
    other = tiny_model(tiny_tokenizer, seed=5)
    monitor, _ = watched(tmp_path, other, tiny_tokenizer, baseline=sft, alerting_baseline=alerting)
    assert monitor.info.alerting_baseline == "sft"
    assert monitor.info.notes[0].startswith("you do not start from this SFT model")


@pytest.mark.parametrize("wrapped", [lambda model: model, lora], ids=["decoded before", "asked on demand"])
@pytest.mark.parametrize("alerting", [None, "sft"])
def test_a_run_that_starts_from_the_sft_model_has_its_replies(tmp_path, tiny_tokenizer, sft, wrapped, alerting):
    model = wrapped(tiny_model(tiny_tokenizer))
    monitor, records = watched(
        tmp_path, model, tiny_tokenizer, baseline=sft, alerting_baseline=alerting, confirm=confirmation()
    )
    assert (monitor.info.alerting_baseline, monitor.info.notes) == ("sft", ())
    assert replied_from(records) == "sft"


def test_a_frozen_adapter_that_is_not_the_named_sft_model_gives_no_replies_in_its_name(tmp_path, tiny_tokenizer, sft):
    model = with_a_frozen_copy(tiny_model(tiny_tokenizer, seed=5), changed=0.5)
    monitor, records = watched(tmp_path, model, tiny_tokenizer, baseline=sft, confirm=confirmation())
    assert replied_from(records) == monitor.info.alerting_baseline == "start"
    assert (monitor.store.folder / "baseline-replies.jsonl").is_file(), "decoded from the start"


def test_a_frozen_adapter_gives_the_replies_of_the_sft_model_wherever_training_starts(tmp_path, tiny_tokenizer):
    model = with_a_frozen_copy(tiny_model(tiny_tokenizer), changed=0.5)
    monitor, records = watched(tmp_path, model, tiny_tokenizer, confirm=confirmation())
    assert replied_from(records) == monitor.info.alerting_baseline == "sft"
    assert not (monitor.store.folder / "baseline-replies.jsonl").exists(), "asked on demand"


def test_alerts_that_rest_on_the_start_are_not_given_the_replies_of_a_frozen_adapter(tmp_path, tiny_tokenizer):
    model = with_a_frozen_copy(tiny_model(tiny_tokenizer), changed=0.5)
    monitor, records = watched(tmp_path, model, tiny_tokenizer, alerting_baseline="start", confirm=confirmation())
    assert replied_from(records) == "start"
    assert (monitor.store.folder / "baseline-replies.jsonl").is_file(), "decoded from the start"


def test_adapters_without_pefts_wrapper_are_told_and_the_start_is_compared_with(tmp_path, tiny_tokenizer):
    """As `model.add_adapter` of transformers makes them: nothing is there that would switch them off."""
    from peft import LoraConfig

    model = tiny_model(tiny_tokenizer)
    model.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]))
    monitor, _ = watched(tmp_path, model, tiny_tokenizer)
    assert monitor.info.alerting_baseline == "start"
    assert [note for note in monitor.info.notes if "put on it by transformers" in note and "get_peft_model" in note]


# A run as a baseline


def looked(folder, tokenizer, *, budget=0.01, failing=()):
    """An SFT run of three observations and an end; `failing` names the looks at which the probe gives up."""
    now = [0.0]

    class Probe(StatementProbe):
        looks = 0

        def measure(self, model, **options):
            now[0] += 1.0
            if not options.get("permuted"):
                self.looks += 1
                if self.looks - 1 in failing:
                    raise ProbeError("the model could not be asked")
            return super().measure(model, **options)

    monitor = Monitor(
        tiny_pack(),
        run="sft",
        output_dir=folder,
        exporters=(),
        schedule=Schedule(every_steps=50, early_dense=False, at_steps=(1, 2, 3), budget=budget),
        probes=(Probe(naysaying_items=0, block_items=6),),
        clock=lambda: now[0],
    )
    model = tiny_model(tokenizer)
    monitor.begin(model, tokenizer, planned_steps=200)
    for step in (1, 2, 3):
        now[0] += 0.001
        if monitor.is_due(step):
            try:
                monitor.observe(model, step)
            except ProbeError as err:
                monitor.fail(step, err)
    return monitor, model


def test_the_look_at_the_end_asks_the_whole_bank_and_its_cost_is_announced(tmp_path, tiny_tokenizer):
    monitor, model = looked(tmp_path, tiny_tokenizer)
    record = monitor.observe(model, 200, phase="end")
    monitor.close("finished")
    first, *partial, _ = monitor.store.records()
    assert any("asks the whole bank, whatever the budget has left: about" in note for note in first.notes)
    assert not [note for note in record.notes if "blocks of the bank" in note]
    assert sum(stance.num_items for stance in record.stances) == sum(stance.num_items for stance in first.stances)
    baseline = load_baseline(tmp_path / "sft")
    assert len(baseline.stances) == 18
    assert baseline.notes == ("last whole observation of run sft: step 200",)
    assert len(partial) == 3


def test_a_baseline_is_made_of_the_last_whole_look_and_says_of_which(tmp_path, tiny_tokenizer):
    monitor, _ = looked(tmp_path, tiny_tokenizer, budget=None, failing=(2, 3))
    monitor.close("failed")
    baseline = load_baseline(tmp_path / "sft")
    assert len(baseline.stances) == 18
    assert baseline.notes[0].startswith("last whole observation of run sft: step 1; later ones, up to step 3")


def test_a_look_without_answers_is_no_baseline(tmp_path, tiny_tokenizer):
    monitor, model = looked(tmp_path, tiny_tokenizer, budget=None)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    monitor.observe(model, 200, phase="end")
    monitor.close("finished")
    assert load_baseline(tmp_path / "sft").notes[0].startswith("last whole observation of run sft: step 3; later")


def test_a_run_without_a_whole_look_is_refused_as_a_baseline(tmp_path, tiny_tokenizer):
    monitor, _ = looked(tmp_path, tiny_tokenizer)
    monitor.close("finished")
    path = tmp_path / "sft/stances.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(BaselineError, match=r"an observation of the whole bank in the run in .*found 3 observations"):
        load_baseline(tmp_path / "sft")
