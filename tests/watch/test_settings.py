"""The settings of a run: what is wrong is met at once, all of it, with what to write; callers and copies share them."""

import copy
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest

from driftwatch import Confirmation, DriftCallback, Monitor, Schedule
from driftwatch.config import read_config
from driftwatch.documents.annotations import parameters
from driftwatch.errors import ConfigError, PackError, PluginError
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.probes.statement import StatementProbe
from driftwatch.testing import tiny_pack
from driftwatch.watch.settings import RunSettings


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"confirm": "sides"}, r'found "sides"\. Write confirm=Confirmation\(judge="sides"\)\.'),
        ({"confirm": True}, r"expected Confirmation\(…\) or None as .confirm., found True"),
        ({"confirm": Confirmation}, r"expected Confirmation\(…\) or None .* found the class Confirmation"),
        ({"schedule": 100}, r"found the number 100\. Write schedule=Schedule\(every_steps=100\)\."),
        ({"exporters": "prometheus"}, r"Write exporters=\['prometheus'\]"),
        ({"exporters": None}, r"Write exporters=\[\]"),
        ({"exporters": [3]}, "expected a name or an object as entry 1 of .exporters., found the number 3"),
        ({"exporters": [PrometheusExporter]}, r"the class PrometheusExporter\. Write PrometheusExporter\(…\)\."),
        ({"probes": "statement"}, r"Write probes=\['statement'\]"),
        ({"probes": ()}, "expected at least one entry in .probes., found none"),
        ({"actions": "save"}, r"Write actions=\['save'\]"),
        ({"alerting_baseline": "x"}, r'expected one of sft, start, None as "alerting_baseline", found "x"'),
        ({"on_error": "stop"}, r'expected one of warn, raise as "on_error", found "stop"'),
        ({"alpha": 1}, "a probability over 0 and under 1 as .alpha., found the number 1. Write for example 0.01."),
        ({"alpha": "1 %"}, r'expected a number as "alpha", found "1 %"\. Write for example 0.01\.'),
        ({"alpha": float("nan")}, "a probability over 0 and under 1 as .alpha., found the number nan"),
        ({"seed": 1.5}, "expected a whole number or None as .seed., found the number 1.5"),
        ({"tolerance": {"default": 1}}, r'a share of replies .* as "default" of "tolerance", found the number 1'),
        ({"tolerance": {"parks": 0.1, "prks": 0.1}}, 'tolerance: "prks" is no value topic; .* Did you mean "parks"'),
        ({"run": "a/b"}, r'expected a name of 1 to 128 letters, .* found "a/b"'),
        ({"baseline": 3}, "expected a path or None as .baseline., found the number 3"),
    ],
)
def test_an_argument_that_cannot_work_is_refused(slip, sentence, tmp_path):
    with pytest.raises(ConfigError, match=sentence):
        DriftCallback(tiny_pack(), output_dir=tmp_path, **slip)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as found:
        RunSettings(pack="quik", alpha=1, exporters=["promethus"], schedule=10)
    said = str(found.value)
    assert len(said.splitlines()) == 4
    for part in ('as "schedule"', 'as "alpha"', 'no exporter named "promethus"', 'nothing at "quik"'):
        assert part in said
    with pytest.raises(PackError, match="quik"):
        RunSettings(pack="quik")
    with pytest.raises(PluginError, match='Did you mean "save"'):
        RunSettings(actions=["sav"])


def test_a_file_and_the_callback_say_the_same_of_the_same_value(tmp_path):
    (tmp_path / "drift.yaml").write_text("alpha: 1\nseed: 0\nschedule: {every_steps: 0}\n")
    alpha, every = (fault.message for fault in read_config(tmp_path / "drift.yaml")[1])
    with pytest.raises(ConfigError) as found:
        DriftCallback(tiny_pack(), alpha=1)
    assert str(found.value) == alpha
    with pytest.raises(ConfigError) as found:
        Schedule(every_steps=0)
    assert str(found.value) == every


@pytest.mark.parametrize("slip", [None, "grpo", DriftCallback])
def test_an_engine_of_no_trainer_is_refused(slip, tmp_path):
    with pytest.raises(
        ConfigError, match=r"use_engine takes the trainer .* Write callback.use_engine\(trainer\) after"
    ):
        DriftCallback(tiny_pack(), output_dir=tmp_path, exporters=()).use_engine(slip)


def test_what_the_signature_says_is_taken(tmp_path):
    DriftCallback(tiny_pack(), output_dir=tmp_path, confirm=Confirmation(), exporters=(), alerting_baseline="start")


def test_numbers_of_numpy_and_any_list_are_taken():
    found = RunSettings(
        pack=tiny_pack(),
        alpha=np.float32(0.5),
        seed=np.int64(3),
        schedule=Schedule(every_steps=np.int32(2), at_steps=[1, 2], budget=np.float64(0.5)),
        probes=[StatementProbe(naysaying_items=np.int64(1))],
    )
    assert isinstance(found.probes, tuple)


def test_signature_defaults_and_texts_of_the_callback_are_those_of_the_settings():
    text = " ".join(inspect.getdoc(DriftCallback).split())
    signature = inspect.signature(DriftCallback).parameters
    monitor = inspect.signature(Monitor).parameters
    for parameter in parameters(RunSettings):
        assert signature[parameter.name].default == parameter.default, parameter.name
        assert f"{parameter.name}: {' '.join(parameter.said['description'].split())}" in text
        if parameter.name in monitor and parameter.name != "output_dir":  # a Trainer has a folder of its own
            assert monitor[parameter.name].default == parameter.default, parameter.name


def test_copies_have_the_same_settings_wherever_they_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"baseline": "sft", "output_dir": "runs", "alpha": 0.2, "exporters": (), "seed": 3}
    callback = DriftCallback(tiny_pack(), actions=["save"], on_error="raise", **given)
    monkeypatch.chdir("/")
    for other in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert other.settings == callback.settings
        assert other.monitor.settings == callback.monitor.settings
        assert str(other.settings.baseline) == str(tmp_path / "sft")
    monitor = Monitor(tiny_pack(), **{**given, "output_dir": tmp_path})
    assert pickle.loads(pickle.dumps(monitor)).settings == monitor.settings


@pytest.mark.parametrize(
    "code",
    [
        "import driftwatch.watch.settings",
        "from driftwatch.config import check_config; assert check_config({path!r}).faults == []",
    ],
)
def test_settings_are_checked_without_torch(code, tmp_path):
    path = tmp_path / "drift.yaml"
    path.write_text(
        "pack: quick\nconfirm: {judge: sides}\nprobes: [{statement: {max_tokens: 9}}]\nexporters: [trackers]"
    )
    text = f"import sys; {code.format(path=str(path))}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
