import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from support.synthetic_runs import synthetic_run

from driftwatch.cli import group
from driftwatch.drift.interval import Interval
from driftwatch.drift.validity import Validity
from driftwatch.record.record import to_json
from driftwatch.stance import Probs, Stance
from driftwatch.store.run_store import Baseline, Labels, RunStore
from driftwatch.watch.baselines import FILE, load_baseline


def invoke(*args):
    return CliRunner().invoke(group, ["gate", *map(str, args)])


def folder(tmp_path, name, shift=0.0, *, num_items=40, identity=None, topics=("work", "climate")):
    """What `driftwatch baseline` writes: raw scores of a screen; the first topic's items lean `shift` nats further."""
    rng = np.random.default_rng(0)
    stances = []
    for topic in topics:
        for i in range(num_items):
            support, oppose, noise = rng.normal(-2, 0.2, 3).tolist()
            support += (shift + 0.1 * (noise + 2)) * (topic == topics[0])
            scores = Probs(support, -2.1, oppose)
            stances.append(Stance(topic, f"{topic}{i}", "statement", scores=scores, log_odds=support - oppose))
    path = tmp_path / name
    path.mkdir()
    RunStore(path).write_json(FILE, Baseline("sft", name, identity or {}, tuple(stances)))
    return path


def test_a_model_that_stayed_passes(tmp_path):
    result = invoke("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b"))
    assert result.exit_code == 0, result.output
    assert "within" in result.output


def test_a_model_that_moved_fails_with_1_and_says_where(tmp_path):
    args = ("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b", shift=0.5))
    result = invoke(*args, "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["decision"] == "drifted"
    assert {t["topic"]: t["decision"] for t in data["topics"]} == {"work": "drifted", "climate": "within"}
    assert data["topics"][0]["magnitude"]["support"] > 0.2


def test_too_few_items_are_unresolved_with_2(tmp_path):
    args = ("--baseline", folder(tmp_path, "a", num_items=4), "--candidate", folder(tmp_path, "b", num_items=4))
    result = invoke(*args)
    assert result.exit_code == 2
    assert "unresolved" in result.output


def test_only_the_named_topics_count(tmp_path):
    args = ("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b", shift=0.5), "--topics", "climate")
    assert invoke(*args).exit_code == 0


def settings(tmp_path, text):
    (tmp_path / "drift.yaml").write_text(text)
    return "--config", tmp_path / "drift.yaml"


def test_each_topic_is_held_against_the_tolerance_that_the_settings_give_it(tmp_path):
    """The same move of work is drift, or within what is tolerated, by what its owner wrote."""
    sides = [folder(tmp_path, name, shift=shift, num_items=60) for name, shift in (("a", 0.0), ("b", 0.5))]
    args = ("--baseline", sides[0], "--candidate", sides[1], "--json")
    moved = max(json.loads(invoke(*args).stdout)["topics"][0]["magnitude"].values())
    wide = settings(tmp_path, f"tolerance: {{default: 0.07, work: {moved + 0.15}}}")
    result = invoke(*args, *wide)
    assert result.exit_code == 0, result.output
    assert {t["topic"]: t["max_drift"] for t in json.loads(result.stdout)["topics"]} == {
        "work": moved + 0.15,
        "climate": 0.07,
    }
    assert invoke(*args, *wide, "--max-drift", "0.1").exit_code == 1, "the option wins"
    assert "at a tolerance of each topic's own" in invoke(*args[:-1], *wide).output
    assert "at a tolerance of 0.07 a stance" in invoke(*args[:-1], *settings(tmp_path, "tolerance: 0.07")).output


def test_settings_that_say_nothing_of_tolerance_leave_the_gate_at_its_own(tmp_path):
    args = ("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b"), "--json")
    data = json.loads(invoke(*args, *settings(tmp_path, "alpha: 0.01")).stdout)
    assert data["max_drift"] == 0.1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "alpha: 0.1\ntolerance:\n  wrok: 0.1",
            'drift.yaml:3: tolerance: "wrok" is no value topic.*Did you mean "work"',
        ),
        ("tolerance: {default: 0.1, work: 0}", 'drift.yaml:1: tolerance of "work" is 0, .*Give --max-drift'),
    ],
)
def test_a_tolerance_that_cannot_be_held_is_an_error_with_3_and_its_line(
    tmp_path, monkeypatch, capsys, text, complaint
):
    args = ("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b"), *settings(tmp_path, text))
    assert main(monkeypatch, *args) == 3
    assert re.search(complaint, capsys.readouterr().err)


def test_the_junit_report_has_one_case_a_topic(tmp_path):
    report = tmp_path / "gate.xml"
    invoke("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b", shift=0.5), "--junit", report)
    suite = ET.fromstring(report.read_text())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    work, climate = suite.findall("testcase")
    assert work.find("failure").get("message").startswith("drifted: support +")
    assert climate.find("failure") is None


def test_both_sides_are_read_on_the_scale_of_the_baseline(tmp_path):
    """A calibration of the candidate's own would make a uniform move vanish."""
    baseline = folder(tmp_path, "a")
    store = RunStore(baseline)
    frozen = replace(load_baseline(baseline), calibration={"neutral_offset": 0.0, "temperature": 1000.0})
    store.write_json(FILE, frozen)
    result = invoke("--baseline", baseline, "--candidate", folder(tmp_path, "b", shift=0.5), "--json")
    assert json.loads(result.stdout)["decision"] == "within"  # at a temperature of 1,000 nats nothing shows


def judged(folder, *, is_valid, probe="statement"):
    """The same baseline after its model's replies were judged."""
    why = None if is_valid else "correlation over items 0.21, below 0.4"
    found = Validity(probe, 0.21, None, None, 0.05, {}, None, 80, is_valid, why)
    labels = Labels({"judge": "sides:1"}, {"work": {"work0": [8, 0, 0, 0, 0, 0]}}, (found,))
    RunStore(folder).write_json(FILE, replace(load_baseline(folder), labels=labels))
    return folder


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_shares_that_are_not_those_of_the_replies_show_neither_that_a_model_stayed_nor_that_it_moved(tmp_path, shift):
    report = tmp_path / "gate.xml"
    baseline = judged(folder(tmp_path, "a"), is_valid=False)
    args = ("--baseline", baseline, "--candidate", folder(tmp_path, "b", shift=shift), "--junit", report)
    result = invoke(*args, "--json")
    assert result.exit_code == 2, result.output
    data = json.loads(result.stdout)
    assert data["decision"] == "unresolved"
    assert data["levels_valid"] == {"statement": False}
    for topic in data["topics"]:
        assert topic["why"] == (
            "its shares are not those of the baseline's replies (correlation over items 0.21, below 0.4)"
        )
        assert topic["items_needed"] is None, "more items would not help"
    assert (data["topics"][0]["magnitude"]["support"] > 0.3) == (shift > 0), "what was measured is still shown"
    assert ET.fromstring(report.read_text()).get("errors") == "2"
    told = "Shares by statement are not those of the baseline's replies (correlation over items 0.21, below 0.4)"
    assert invoke(*args).output.count(told) == 1


def test_shares_that_are_those_of_the_replies_decide_and_what_was_never_checked_is_said(tmp_path):
    args = ("--candidate", folder(tmp_path, "b", shift=0.5), "--baseline")
    unchecked, checked = folder(tmp_path, "a"), judged(folder(tmp_path, "c"), is_valid=True)
    sentence = "Shares by statement were not held against replies of the baseline"
    for baseline, says in ((unchecked, True), (checked, False)):
        result = invoke(*args, baseline)
        assert result.exit_code == 1
        assert (sentence in result.output) == says
    assert json.loads(invoke(*args, unchecked, "--json").stdout)["levels_valid"] == {"statement": None}
    assert json.loads(invoke(*args, checked, "--json").stdout)["levels_valid"] == {"statement": True}


def test_replies_that_speak_against_one_probe_leave_the_others_their_word(tmp_path):
    baseline = judged(folder(tmp_path, "a"), is_valid=False, probe="another")
    assert invoke("--baseline", baseline, "--candidate", folder(tmp_path, "b")).exit_code == 0


def main(monkeypatch, *args):
    """Through the entry point, which turns our errors into exit code 3."""
    import driftwatch.cli

    monkeypatch.setattr("sys.argv", ["driftwatch", "gate", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        driftwatch.cli.main()
    return stop.value.code


def test_an_unknown_topic_is_an_error_with_3(tmp_path, monkeypatch, capsys):
    args = ("--baseline", folder(tmp_path, "a"), "--candidate", folder(tmp_path, "b"), "--topics", "wrok")
    assert main(monkeypatch, *args) == 3
    assert "--topics takes topics of the baseline (work, climate); found wrok" in capsys.readouterr().err


def test_a_missing_folder_is_an_error_with_3(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    assert main(monkeypatch, "--baseline", tmp_path / "empty", "--candidate", folder(tmp_path, "b")) == 3
    assert "found neither" in capsys.readouterr().err


def test_models_that_were_asked_differently_are_an_error_with_3(tmp_path, monkeypatch, capsys):
    sides = [folder(tmp_path, name, identity={"template": name}) for name in "ab"]
    assert main(monkeypatch, "--baseline", sides[0], "--candidate", sides[1]) == 3
    assert "cannot be compared" in capsys.readouterr().err


@pytest.mark.parametrize("args", [(), ("--baseline", "a", "--candidate", "b", "--max-drift", "2")])
def test_a_wrong_option_is_an_error_with_3_and_not_unresolved(monkeypatch, capsys, args):
    assert main(monkeypatch, *args) == 3
    assert "Usage" in capsys.readouterr().err


def test_models_are_asked_on_the_spot(tmp_path, tiny_tokenizer):
    from driftwatch.testing import tiny_model

    pack = tmp_path / "small.yaml"
    items = "\n".join(f'      - {{id: w{i}, sides: ["I like day {i}", "I loathe night {i}"]}}' for i in range(30))
    pack.write_text(
        "id: small\nversion: 1.0.0\ntitle: Small\nlanguage: en\nlicence: CC0-1.0\nsource: A test.\ntopics:\n"
        f'  - id: work\n    title: Work\n    poles: ["day", "night"]\n    control: false\n    items:\n{items}\n'
    )
    model = tmp_path / "model"
    tiny_model(tiny_tokenizer).save_pretrained(model)
    tiny_tokenizer.save_pretrained(model)
    result = invoke("--baseline", model, "--candidate", model, "--pack", pack, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["topics"][0]["num_items"] == 30


@pytest.mark.parametrize("num_items", [6, 40])
@pytest.mark.parametrize("probes", [("statement",), ("statement", "reply")])
@pytest.mark.parametrize("topic", ["noise", "everyday_preferences", "economic_preferences2", "a" * 30])
def test_neither_words_nor_figures_are_cut_in_80_columns(tmp_path, topic, probes, num_items):
    sides = []
    for name, shift in (("a", 0.0), ("b", 0.02)):
        sides.append(folder(tmp_path, name, shift, num_items=num_items, topics=(topic, "work")))
        baseline = load_baseline(sides[-1])
        stances = [replace(stance, probe=probe) for probe in probes for stance in baseline.stances]
        RunStore(sides[-1]).write_json(FILE, replace(baseline, stances=tuple(stances)))
    output = invoke("--baseline", sides[0], "--candidate", sides[1], "--max-drift", "0.01").output
    first = "".join(line.split("│")[1].strip() for line in output.splitlines() if line.startswith("│"))
    figures = re.findall(r"(?:support|neutral|oppose) +[+-]\d\.\d{3} \([+-]\d\.\d{3} … [+-]\d\.\d{3}\)", output)
    decided = [word for word in re.findall(r"\w+", output) if word in ("within", "drifted", "unresolved")]
    rows = 2 * len(probes)
    assert topic in first
    assert (len(figures), output.count("…"), len(decided)) == (3 * rows, 3 * rows, rows + 1)


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        ({}, "within"),
        ({"state": "alert", "label": "specific"}, "unresolved"),
        ({"state": "alert", "label": "unsettled"}, "unresolved"),
        ({"state": "beyond_tolerance", "label": "specific", "pointwise": Interval(0.01, 0.05)}, "unresolved"),
        ({"state": "alert", "label": "specific", "pointwise": Interval(0.04, 0.16)}, "unresolved"),
        ({"state": "alert", "label": "specific", "pointwise": Interval(0.01, 0.09)}, "within"),
    ],
)
def test_a_candidate_in_alert_by_its_replies_is_not_passed_on_its_screen(tmp_path, row, decision):
    """Unless what the replies say now lies within the tolerance as well."""
    baseline, candidate = folder(tmp_path, "a"), synthetic_run(tmp_path / "b")
    stances = load_baseline(baseline).stances
    calm = {"state": "ok", "label": None, "interval": None, "pointwise": None, "minimum_detectable": 0.1}
    evidence = [replace(one, **calm) for one in candidate.records()[-1].evidence]
    evidence.append(replace(evidence[0], topic="work", **row))
    last = replace(candidate.records()[-1], stances=(), evidence=tuple(evidence), failures=())
    (candidate.folder / "records.jsonl").write_bytes(to_json(last) + b"\n")
    RunStore(candidate.folder).write_json(FILE, Baseline("sft", "b", {}, stances))
    found = invoke("--baseline", baseline, "--candidate", candidate.folder, "--json")
    data = json.loads(found.stdout)
    assert {t["topic"]: t["decision"] for t in data["topics"]}["work"] == decision, found.output
    if decision == "unresolved":
        assert "are in alert on this topic" in found.output
        assert found.exit_code == 2
