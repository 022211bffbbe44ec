"""Settings become the very objects that Python code would have made."""

import inspect
from typing import Annotated

import pytest
from msgspec import Meta

from driftwatch.callback import DriftCallback
from driftwatch.chat.format import Wrap
from driftwatch.config import callback_arguments, load_config, make_callback, monitor_arguments
from driftwatch.errors import ConfigError, JudgeError, PackError
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.judges.endpoint import EndpointJudge
from driftwatch.judges.panel import Panel
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.topics import load_pack
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.schedule import Schedule
from driftwatch.watch.settings import OF_A_TRAINER, RunSettings

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
    assert set(callback_arguments(whole)) == callback == set(RunSettings.__struct_fields__)
    assert set(monitor_arguments(whole)) == monitor
    assert callback - monitor == set(OF_A_TRAINER)
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
        (
            "pack: quick\nschedule:\n  every_steps: 10\n  budget: 2.0",
            ConfigError,
            ":4: expected a share of wall time over 0 and under 1, or null as .budget., found the number 2.0",
        ),
        (
            "schedule:\n  at_steps: [0]",
            ConfigError,
            ":2: expected a whole number of at least 1 as entry 1",
        ),
        (
            "alpha: 1.5",
            ConfigError,
            r":1: expected a probability over 0 and under 1 as .alpha.",
        ),
        ("confirm:\n  normal_draws: 9\n  watched_draws: 3", ConfigError, r":3: expected watched_draws to be at least"),
        (
            "confirm:\n  decoding:\n    top_p: 0",
            ConfigError,
            r":3: expected a probability over 0 and at most 1",
        ),
        ("exporters:\n- trackers\n- prometheus:\n    port: 70000", ConfigError, r":4: expected a port from 0 to 65535"),
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
        ("confirm:\n  judge: {panel: {judges: [sides]}}", ConfigError, r":2: expected at least 2 entries in .judges."),
        (
            "confirm:\n  judge: {endpoint: {model: m, base_url: here}}",
            ConfigError,
            ":2: expected an address that begins",
        ),
        (
            "schedule:\n  budget: -0.1",
            ConfigError,
            r":2: .* the number -0.1\. Write for example 0.01, or null",
        ),
        ("probes:\n- statement: {naysaying_items: -1}", ConfigError, r":2: .* of at least 0"),
        (
            "probes: []",
            ConfigError,
            r":1: expected at least one entry in .probes., found none",
        ),
        ("alpha: 0.1\ntolerance: 1", ConfigError, r":2: expected a share of replies of at least 0 and under 1"),
        ("tolerance:\n  default: 0.1\n  abortoin: 0.2", ConfigError, r':3: tolerance: "abortoin" is no value topic'),
        (
            "tolerance:\n  default: 0.1\n  abortion: 2",
            ConfigError,
            r":3: .* as .abortion. of .tolerance.",
        ),
        ("run: a b", ConfigError, r":1: expected a name of 1 to 128 letters, .* found .a b."),
        ("seed: -1", ConfigError, r":1: expected a whole number of at least 0, or null"),
        (
            "confirm: {wrap: {template: Say}}",
            ConfigError,
            r":1: expected a text with .{question}. where",
        ),
    ],
)
def test_what_a_constructor_refuses_is_placed_in_the_file(tmp_path, monkeypatch, text, error, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drift.yaml").write_text(text)
    with pytest.raises(error, match=f"^drift.yaml{complaint}"):
        make_callback(load_config("drift.yaml"))


def test_options_of_another_package_are_checked_by_its_own_signature(tmp_path, monkeypatch):
    class Other:
        name = "other"

        def __init__(self, path="x", size: Annotated[int, Meta(ge=1, title="a size")] = 1) -> None:
            self.path, self.size = path, size

    monkeypatch.setattr("driftwatch.plugins.names", lambda kind: ["other"])
    monkeypatch.setattr("driftwatch.plugins.load", lambda kind, name: Other)
    found = callback_arguments(config(tmp_path, "exporters: [{other: {path: y, size: 3}}]"))["exporters"][0]
    assert (found.path, found.size) == ("y", 3)
    with pytest.raises(ConfigError, match="other has no option pth; its options: path, size"):
        callback_arguments(config(tmp_path, "exporters: [{other: {pth: y}}]"))
    with pytest.raises(ConfigError, match=r"yaml:2: expected a size of at least 1 as .size., found the number 0"):
        callback_arguments(config(tmp_path, "exporters:\n- other: {size: 0}"))
    with pytest.raises(ConfigError, match=r"yaml:2: expected a whole number as .size., found .large."):
        callback_arguments(config(tmp_path, "exporters:\n- other: {size: large}"))


def test_changes_win_over_the_file(tmp_path):
    callback = make_callback(config(tmp_path, "pack: quick\nrun: a"), run="b", exporters=())
    assert callback.monitor.run == "b"
