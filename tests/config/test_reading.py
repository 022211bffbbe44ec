"""The settings file: every complaint names file and line, and says what to do."""

import subprocess
import sys

import pytest

from driftwatch.config import load_config, read_config
from driftwatch.config.reading import MAX_BYTES
from driftwatch.errors import ConfigError


def written(folder, text):
    path = folder / "drift.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pack: quick\npcak: core", r':2: expected only pack, .* found "pcak". Did you mean "pack"?'),
        ("schedule:\n  bugdet: 0.1", r':2: .* found "bugdet". Did you mean "budget"?'),
        ("schedule: {every_steps: often}", r':1: expected a whole number as "every_steps", found "often"'),
        ("schedule: {every_steps: 2.5}", r':1: expected a whole number as "every_steps", found the number 2.5'),
        (
            "schedule: {budget: 1e-2}",
            r':1: expected a number or null as "budget", found "1e-2". Write a number without',
        ),
        ("schedule: {early_dense: 1}", r':1: expected true or false as "early_dense", found the number 1'),
        ("alpha: yes", r':1: expected a number as "alpha", found true/false'),
        ("run: 2024", r':1: expected text or null as "run", found the number 2024. Put it in quotes'),
        ("run: ''", r':1: expected text for "run", found an empty one'),
        ("schedule:", r':1: expected a mapping as "schedule", found nothing. Write it, for example .*, or remove the'),
        (
            "confirm:\n  # judge: sides\nseed: 1",
            r':1: .* or null as "confirm", found nothing. Write it, for example confirm: {judge: sides}, or null for',
        ),
        (
            "schedule:\n  budget:",
            r':2: expected a number or null as "budget", found nothing. Write it, or null for none',
        ),
        ("alerting_baseline:", r":1: expected one of sft, start, null as .alerting_baseline., found nothing. Write it"),
        ("run: # mine", r':1: expected text or null as "run", found nothing. Write it, or null for none, or remove'),
        ("pack:", r':1: expected text as "pack", found nothing. Write it, or remove the key'),
        ("alerting_baseline: stf", r":1: expected one of sft, start, null as .* found \"stf\""),
        ("exporters: prometheus", r':1: expected a list as "exporters", found "prometheus". Write \[prometheus\]'),
        ("schedule: {at_steps: 5}", r':1: expected a list as "at_steps", found the number 5. Write \[5\]'),
        (
            "exporters:\n  webhook: {}",
            r':1: expected a list as "exporters", found a mapping. Begin each entry with "- "',
        ),
        ("exporters:\n- servce", r':2: no exporter named "servce"; .* Did you mean "service"?'),
        ("exporters:\n- prometheus: {prot: 1}", r':2: expected only address, .* found "prot". Did you mean "port"?'),
        (
            "exporters:\n- prometheus: {}\n  service: {}",
            r"one name with its options as entry 1 of .*prometheus, service",
        ),
        ("confirm: {judge: sids}", r':1: no judge named "sids"; .* Did you mean "sides"?'),
        ("confirm: {judge: {endpoint: {}}}", r'expected "model" in the options of endpoint, found none. Add it'),
        ("confirm: {judge: {endpoint: 3}}", r"expected a mapping as the options of endpoint, found the number 3"),
        ("confirm: {wrap: {turns: [[user]]}}", r"expected 2 entries in entry 1 of .turns., found 1"),
        ("confirm: {decoding: {temprature: 1}}", r'found "temprature". Did you mean "temperature"?'),
        ("actions: [sleep]", r':1: no action named "sleep"; installed actions: save, stop'),
        ("- pack", r":1: expected a mapping as the settings, found a list"),
        ("pack: quick\npack: core", r':2: expected each key once, found "pack" again'),
        ("pack: [core", r":\d: expected YAML, found"),
        ("pack: &a core\nrun: *a", r":2: expected no aliases"),
        ("pack: !!python/object:os.system core", r":1: expected plain data, found the tag"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, monkeypatch, text, complaint):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, text)
    with pytest.raises(ConfigError, match=f"^drift.yaml.*{complaint}"):
        load_config("drift.yaml")


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("exporters: [{service: {token: abc}}]", "DRIFTWATCH_TOKEN"),
        ("exporters: [{webhook: {url: 'https://hooks.example/abc'}}]", "DRIFTWATCH_WEBHOOK"),
    ],
)
def test_a_secret_is_sent_to_the_environment_and_not_repeated(tmp_path, text, variable):
    with pytest.raises(ConfigError, match=rf"Secrets do not belong in this file; set {variable}") as found:
        load_config(written(tmp_path, text))
    assert "abc" not in str(found.value)


def test_all_faults_are_listed_and_the_first_is_raised(tmp_path):
    path = written(tmp_path, "alpha: a\nseed: b\nrun: []")
    assert len(read_config(path)[1]) == 3
    with pytest.raises(ConfigError, match=r"\(and 2 more; \"driftwatch config check\" lists them all\)"):
        load_config(path)


def test_a_file_that_is_missing_a_folder_or_too_large_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a settings file, found none"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="expected a settings file, found none"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="expected settings of at most"):
        load_config(written(tmp_path, "#" * (MAX_BYTES + 1)))


@pytest.mark.parametrize("text", ["", "\n# only a comment\n"])
def test_an_empty_file_means_the_defaults(tmp_path, text):
    assert load_config(written(tmp_path, text)).values == {}


def test_paths_count_from_the_file_and_names_of_packs_stay_names(tmp_path, monkeypatch):
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "mine.yaml").write_text("id: mine")
    text = "pack: {pack}\nbaseline: ../sft\nexporters: [{{prometheus: {{textfile: a.prom}}}}]"
    monkeypatch.chdir(tmp_path)
    found = load_config(written(folder, text.format(pack="core+mine.yaml"))).values
    assert found["pack"] == f"core+{folder / 'mine.yaml'}"
    assert found["baseline"] == str(tmp_path / "sft")
    assert found["exporters"] == [{"prometheus": {"textfile": str(folder / "a.prom")}}]
    assert load_config(written(folder, "pack: qick")).values["pack"] == "qick", "so that its hint says quick"


@pytest.mark.parametrize("null", ["null", "~", "Null"])
def test_a_written_null_is_no_empty_setting(tmp_path, null):
    assert load_config(written(tmp_path, f"confirm: {null}")).values == {"confirm": None}


def test_a_name_with_a_colon_has_no_options(tmp_path):
    assert load_config(written(tmp_path, "exporters:\n- trackers:\n")).values == {"exporters": ["trackers"]}


def test_null_is_kept_apart_from_what_is_left_out(tmp_path):
    assert load_config(written(tmp_path, "confirm: null\nschedule: {budget: null}")).values == {
        "confirm": None,
        "schedule": {"budget": None},
    }


def test_reading_leaves_torch_unloaded(tmp_path):
    path = written(tmp_path, "confirm: {judge: sides}\nprobes: [{statement: {naysaying_items: 1}}]")
    code = (
        "import sys; from driftwatch.config import load_config; from driftwatch.config.resolved import settings\n"
        f"settings(load_config({str(path)!r}))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
