"""The same numbers in each tracker; TensorBoard always, the others where their packages are installed."""

import logging
from types import SimpleNamespace

import pytest
from support.builders import record, run_info

from driftwatch.errors import ExportError
from driftwatch.exporters.exporter import Exporter
from driftwatch.exporters.trackers import TrackersExporter, scalars

KEY = "driftwatch/drift_score_shift/parks/statement/start"


@pytest.fixture
def exporter():
    made = TrackersExporter()
    yield made
    made.close("finished")


def test_it_is_an_exporter(exporter):
    assert isinstance(exporter, Exporter)


def test_every_curve_has_one_name_and_no_description_is_among_them():
    found = scalars(run_info(), record(look=1, step=4))
    assert found[KEY] == -0.2
    assert found["driftwatch/stance_ratio/parks/statement/oppose"] == 0.5
    kinds = {name.split("/")[1] for name in found}
    assert not kinds & {"run_info", "run_state", "topic_state", "last_observation_timestamp_seconds", "observed_step"}


def test_only_the_metrics_that_were_asked_for():
    found = scalars(run_info(), record(look=1, step=4), only={"driftwatch_drift_score_shift"})
    assert list(found) == [KEY]


def test_tensorboard_files_lie_beside_the_trainers_and_read_back(tmp_path):
    pytest.importorskip("torch")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    theirs = tmp_path / "runs" / "Nov24_host"
    theirs.mkdir(parents=True)
    (theirs / "events.out.tfevents.1.host").touch()
    exporter = TrackersExporter()
    state = SimpleNamespace(log_history=[])
    exporter.attach(SimpleNamespace(report_to=["tensorboard"], output_dir=str(tmp_path)), state)
    exporter.open(run_info(), None)
    exporter.export(record(look=1, step=4))
    exporter.export(record(look=2, step=8))
    exporter.close("finished")
    (ours,) = theirs.glob("*.driftwatch")
    read = EventAccumulator(str(ours))
    read.Reload()
    assert [(event.step, round(event.value, 6)) for event in read.Scalars(KEY)] == [(4, -0.2), (8, -0.2)]
    assert [entry["step"] for entry in state.log_history] == [4, 8]
    assert state.log_history[0][KEY] == -0.2


def test_a_trainer_with_the_exporter_by_name_has_the_looks_in_tensorboard_and_in_its_log(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from transformers import Trainer, TrainingArguments

    from driftwatch import DriftCallback, Schedule
    from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    ids = tokenizer("I want more nature in the street. ")["input_ids"]
    trainer = Trainer(
        model=tiny_model(tokenizer),
        args=TrainingArguments(
            str(tmp_path / "out"),
            max_steps=4,
            logging_steps=2,
            learning_rate=1e-2,
            report_to=["tensorboard"],
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 16,
        processing_class=tokenizer,
        callbacks=[
            DriftCallback(
                tiny_pack(),
                schedule=Schedule(every_steps=2, early_dense=False, budget=None),
                exporters=("trackers",),
                on_error="raise",
            )
        ],
    )
    trainer.train()
    shifts = {
        entry["step"]: entry[name]
        for entry in trainer.state.log_history
        for name in ["driftwatch/drift_log_odds_shift_nats/parks/statement/start"]
        if name in entry
    }
    assert list(shifts) == [0, 2, 4]
    assert any("loss" in entry for entry in trainer.state.log_history)  # the Trainer's own entries are still there
    (ours,) = (tmp_path / "out").rglob("*.driftwatch")
    assert [path for path in ours.parent.glob("events.out.tfevents.*") if path != ours]  # beside the Trainer's own file
    read = EventAccumulator(str(ours))
    read.Reload()
    written = {e.step: e.value for e in read.Scalars("driftwatch/drift_log_odds_shift_nats/parks/statement/start")}
    assert written == pytest.approx(shifts)
    assert shifts[0] == 0 != shifts[4]


def test_no_tensorboard_file_where_the_trainer_writes_none(tmp_path):
    exporter = TrackersExporter()
    exporter.attach(SimpleNamespace(report_to=[], output_dir=str(tmp_path)), SimpleNamespace(log_history=[]))
    exporter.open(run_info(), None)
    exporter.export(record())
    exporter.close("finished")
    assert not list(tmp_path.rglob("*"))


def test_nothing_to_write_to_is_said(exporter, caplog):
    with caplog.at_level(logging.WARNING):
        exporter.open(run_info(), None)
    assert "found no open run" in caplog.text


def test_a_tracker_that_fails_does_not_keep_the_look_from_the_others(exporter):
    seen = []

    def broken(figures, step):
        raise ConnectionError("no route")

    exporter.open(run_info(), None)
    exporter._writers = {"first": broken, "second": lambda figures, step: seen.append(step)}
    with pytest.raises(ExportError, match="first: ConnectionError: no route"):
        exporter.export(record(look=1, step=4))
    assert seen == [4]


@pytest.mark.filterwarnings("ignore")  # their packages, their warnings
def test_wandb_gets_the_numbers_in_the_run_that_is_open(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = wandb.init(project="driftwatch", dir=str(tmp_path), settings=wandb.Settings(console="off"))
    try:
        exporter = TrackersExporter()
        exporter.open(run_info(), None)
        exporter.export(record(look=1, step=4))
        assert run.summary[KEY] == -0.2
        assert run.summary["train/global_step"] == 4
    finally:
        run.finish()


@pytest.mark.filterwarnings("ignore")
def test_mlflow_gets_the_numbers_also_from_another_thread(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from threading import Thread

    mlflow.set_tracking_uri(f"file://{tmp_path}/mlruns")
    run = mlflow.start_run()
    try:
        exporter = TrackersExporter()
        exporter.open(run_info(), None)  # on the training thread, where the run is known
        thread = Thread(target=exporter.export, args=(record(look=1, step=4),))
        thread.start()
        thread.join()
        (found,) = mlflow.MlflowClient().get_metric_history(run.info.run_id, KEY)
        assert (found.step, found.value) == (4, -0.2)
    finally:
        mlflow.end_run()


@pytest.mark.filterwarnings("ignore")
def test_trackio_gets_the_numbers_also_from_another_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    from threading import Thread

    from trackio.sqlite_storage import SQLiteStorage

    run = trackio.init(project="driftwatch-test", embed=False)
    exporter = TrackersExporter()
    exporter.open(run_info(), None)
    thread = Thread(target=exporter.export, args=(record(look=1, step=4),))
    thread.start()
    thread.join()
    trackio.finish()
    (kept,) = SQLiteStorage.get_logs("driftwatch-test", run.name)
    assert kept[KEY] == -0.2
    assert kept["train/global_step"] == 4
