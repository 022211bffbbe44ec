"""Everything that is wrong with a settings file is found at once, each with its line and what to do."""

import pytest

from driftwatch.config import check_config, load_config, make_callback, read_config
from driftwatch.errors import ConfigError
from driftwatch.testing import tiny_pack

WRONG = """\
pack: quik
alpha: 1
schedule:
  every_steps: 0
  budget: 2.0
tolerance: 1.5
confirm:
  judge: endpoint
  normal_draws: 9
  watched_draws: 3
exporters:
- service: {url: 'http://127.0.0.1:1'}
- promethus
- prometheus: {port: 70000}
run: a b
baseline: nowhere
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTWATCH_TOKEN", raising=False)
    monkeypatch.delenv("DRIFTWATCH_PORT", raising=False)
    path = tmp_path / "drift.yaml"
    path.write_text(WRONG)
    return path


def lines(faults):
    return [fault.place.line for fault in faults]


def test_every_fault_of_a_file_is_found_with_its_line(file):
    faults, is_whole = check_config(file)
    assert is_whole
    assert lines(faults) == [1, 2, 4, 5, 6, 8, 10, 12, 13, 14, 15, 16]
    for fault in faults:
        if fault.place.line not in (8, 12):  # which say what is needed, where nothing was found
            assert "expected" in fault.message or "no exporter" in fault.message
            assert "found" in fault.message or "Did you mean" in fault.message
        assert fault.message.endswith((".", "?"))


def test_reading_makes_nothing_and_finds_what_settings_say_together(file):
    assert lines(read_config(file)[1]) == [1, 2, 4, 5, 6, 10, 13, 14, 15]
    file.write_text("pack: quick\nconfirm: {normal_draws: 9, watched_draws: 3}\ntolerance: {a: 0.1, b: 0.1}\n")
    assert lines(read_config(file)[1]) == [2, 3, 3]


def test_loading_names_the_first_and_counts_the_others(file):
    with pytest.raises(ConfigError, match=r"^drift.yaml:1: expected a pack's name .* \(and 8 more; .driftwatch config"):
        load_config("drift.yaml")


def test_a_pack_that_code_brings_may_have_the_topics_that_the_file_names(file):
    pack = tiny_pack()
    topic = next(topic.id for topic in pack.topics if not topic.control)
    file.write_text(f"tolerance: {{default: 0.05, {topic}: 0.1}}\nexporters: []\n")
    callback = make_callback(load_config(file), pack=pack)
    assert callback.settings.tolerance == {"default": 0.05, topic: 0.1}


def test_a_port_of_the_environment_is_a_fault_beside_the_others(file, monkeypatch):
    file.write_text("pack: quik\n")
    monkeypatch.setenv("DRIFTWATCH_PORT", "http")
    assert [str(fault).split(":")[0] for fault in check_config("drift.yaml").faults] == ["environment", "drift.yaml"]
