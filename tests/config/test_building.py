"""Settings become the very objects that Python code would have made."""

import inspect

import pytest

from driftwatch.callback import DriftCallback
from driftwatch.chat.format import Wrap
from driftwatch.config import callback_arguments, load_config, make_callback, monitor_arguments
from driftwatch.errors import ConfigError, JudgeError, PackError
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.judges.endpoint import EndpointJudge
from driftwatch.judges.panel import Panel
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.sampling import Decoding
from driftwatch.topics import load_pack
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.schedule import Schedule

WHOLE = """\
pack: quick
baseline: sft
alerting_baseline: start
probes: [{statement: {naysaying_items: 2}}]
confirm:
  judge: {endpoint: {model: m, base_url: "http://127.0.0.1:1/v1", concurrency: 2}}
  decoding: {temperature: 0.5, max_new_tokens: 8}
  normal_draws: 4
  watched_draws: 8
  wrap: {system: Be brief., turns: [[user, Hello], [assistant, Hi]]}
  keep_replies: false
schedule: {every_steps: 5, at_steps: [3, 7], early_dense: false, budget: null}
alpha: 0.05
tolerance: {default: 0.02, abortion: 0.1}
run: r1
output_dir: runs
exporters: [{prometheus: {port: 0}}, trackers]
actions: [save, stop]
seed: 7
on_error: raise
"""


def config(folder, text):
    path = folder / "drift.yaml"
    path.write_text(text)
    return load_config(path)


def test_a_whole_file_becomes_the_objects_that_it_names(tmp_path):
    found = callback_arguments(config(tmp_path, WHOLE))
    confirm = found["confirm"]
    assert isinstance(confirm, Confirmation)
    assert isinstance(confirm.judge, EndpointJudge)
    assert confirm.decoding == Decoding(temperature=0.5, max_new_tokens=8)
    assert confirm.wrap == Wrap("Be brief.", (("user", "Hello"), ("assistant", "Hi")))
    assert (confirm.normal_draws, confirm.watched_draws, confirm.keep_replies) == (4, 8, False)
    assert found["schedule"] == Schedule(5, (3, 7), early_dense=False, budget=None)
    assert found["pack"] == load_pack("quick")
    assert isinstance(found["probes"][0], StatementProbe)
    assert [exporter.name for exporter in found["exporters"]] == ["prometheus", "trackers"]
    assert [action.name for action in found["actions"]] == ["save", "stop"]
    assert (found["alpha"], found["run"], found["seed"], found["on_error"]) == (0.05, "r1", 7, "raise")
    assert found["tolerance"] == {"default": 0.02, "abortion": 0.1}
    assert found["baseline"] == str(tmp_path / "sft")
    assert isinstance(make_callback(config(tmp_path, WHOLE)), DriftCallback)


def test_every_key_reaches_the_callback_and_the_monitor_under_its_own_name(tmp_path):
    whole = config(tmp_path, WHOLE)
    callback = set(inspect.signature(DriftCallback).parameters) - {"restored"}
    monitor = set(inspect.signature(Monitor).parameters) - {"clock"}
    assert set(callback_arguments(whole)) == callback
    assert set(monitor_arguments(whole)) == monitor
    assert callback - monitor == {"actions", "on_error"}
    Monitor(**monitor_arguments(whole))


def test_an_empty_file_makes_the_default_callback(tmp_path):
    assert callback_arguments(config(tmp_path, "")) == {}
    assert monitor_arguments(config(tmp_path, "output_dir: null\nservice: {port: 1}")) == {}


def test_each_call_makes_new_objects_for_a_run_of_its_own(tmp_path):
    read = config(tmp_path, "exporters: [prometheus]")
    first, second = (callback_arguments(read)["exporters"][0] for _ in range(2))
    assert isinstance(first, PrometheusExporter)
    assert first is not second


def test_a_panel_is_made_of_judges_with_options(tmp_path):
    judges = "[sides, {endpoint: {model: m, base_url: 'http://127.0.0.1:1/v1'}}]"
    found = callback_arguments(config(tmp_path, f"confirm: {{judge: {{panel: {{judges: {judges}}}}}}}"))
    assert isinstance(found["confirm"].judge, Panel)


@pytest.mark.parametrize(
    ("text", "error", "complaint"),
    [
        ("pack: quick\nschedule:\n  every_steps: 10\n  budget: 2.0", ConfigError, r":4: budget=2.0 is not a share"),
        ("schedule:\n  at_steps: [0]", ConfigError, r":2: at_steps holds 0"),
        ("alpha: 1.5", ConfigError, r":1: alpha is a probability"),
        ("confirm:\n  normal_draws: 9\n  watched_draws: 3", ConfigError, r":2: a watched topic gets at least as many"),
        ("confirm:\n  decoding:\n    top_p: 0", ConfigError, r":3: top_p must be over 0"),
        ("exporters:\n- trackers\n- prometheus:\n    port: 70000", ConfigError, r":4: a port is a number"),
        ("pack: nonsuch", PackError, r":1: expected a pack's name .* found nothing at \"nonsuch\"\. Correct it\.$"),
        ("confirm:\n  judge: endpoint", JudgeError, r':2: judge "endpoint" needs a model and an address'),
        ("confirm:\n  judge: reference", JudgeError, r':2: judge "reference" needs the model in training'),
        ("confirm:\n  judge: {reference: {baseline: a}}", JudgeError, r':2: judge "reference" needs the model'),
        (
            "confirm:\n  judge: {reference: {baseline: a, tokenizer: b}}",
            JudgeError,
            r':2: judge "reference" needs the model',
        ),
        ("confirm:\n  judge:\n    panel: {judges: [sides, panel]}", JudgeError, r':3: judge "panel" needs judges: in'),
        (
            "schedule:\n  budget: -0.1",
            ConfigError,
            r":2: budget=-0.1 .* or None \(null in a settings file\) for no limit",
        ),
        ("probes:\n- statement: {naysaying_items: -1}", ConfigError, r":2: naysaying_items must be 0 or more"),
        ("probes: []", ConfigError, r":1: expected at least one probe"),
        ("alpha: 0.1\ntolerance: 1", ConfigError, r":2: tolerance is a change of a stance's share"),
        ("tolerance:\n  default: 0.1\n  abortoin: 0.2", ConfigError, r':3: tolerance: "abortoin" is no value topic'),
        ("tolerance:\n  default: 0.1\n  abortion: 2", ConfigError, r':3: tolerance: "abortion" is a change'),
    ],
)
def test_what_a_constructor_refuses_is_placed_in_the_file(tmp_path, monkeypatch, text, error, complaint):
    monkeypatch.chdir(tmp_path)
    config(tmp_path, text)
    with pytest.raises(error, match=f"^drift.yaml{complaint}"):
        make_callback(load_config("drift.yaml"))


def test_options_of_another_package_are_checked_by_its_own_signature(tmp_path, monkeypatch):
    class Other:
        name = "other"

        def __init__(self, path="x", size: int = 1) -> None:
            self.path, self.size = path, size

    monkeypatch.setattr("driftwatch.plugins.names", lambda kind: ["other"])
    monkeypatch.setattr("driftwatch.plugins.load", lambda kind, name: Other)
    found = callback_arguments(config(tmp_path, "exporters: [{other: {path: y, size: 3}}]"))["exporters"][0]
    assert (found.path, found.size) == ("y", 3)
    with pytest.raises(ConfigError, match="other has no option pth; its options: path, size"):
        callback_arguments(config(tmp_path, "exporters: [{other: {pth: y}}]"))


def test_changes_win_over_the_file(tmp_path):
    callback = make_callback(config(tmp_path, "pack: quick\nrun: a"), run="b", exporters=())
    assert callback.monitor.run == "b"
