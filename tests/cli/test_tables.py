"""Tables at the widths that terminals have: what is shown is whole, and what is left out is said."""

import io
from dataclasses import fields, replace

import pytest
from rich.console import Console
from support.builders import record, run_info
from support.hostile import HOSTILE

from driftwatch.cli.compare import command as compare
from driftwatch.cli.tables import drift_table
from driftwatch.drift.compare import Drift
from driftwatch.drift.interval import Interval
from driftwatch.evidence.verdict import TopicEvidence
from driftwatch.record.record import TopicInfo
from driftwatch.stance import Probs
from driftwatch.store.run_store import Baseline, RunStore
from driftwatch.topics import load_pack

TOPICS = tuple(TopicInfo(t.id, t.title, t.poles, t.control, 50) for t in load_pack("core"))
INFO = run_info(topics=TOPICS)


def drift(topic, probe, shift=-0.314, **changes):
    fields = {"magnitude": Probs(shift / 2, 0.0, -shift / 2), "num_items": 50}
    if probe != "confirm":
        fields |= {
            "score_shift": shift,
            "interval": Interval(shift - 0.1, shift + 0.1),
            "log_odds_shift": 2 * shift,
            "log_odds_interval": Interval(2 * shift - 0.1, 2 * shift + 0.1),
        }
    return Drift(topic, probe, "start", **{**fields, **changes})


def evidence(topic, shift):
    unused = dict.fromkeys(field.name for field in fields(TopicEvidence))
    used = {
        "topic": topic,
        "kind": "direction",
        "state": "ok",
        "num_draws": 200,
        "log10_e_value": 0.1,
        "log10_threshold": 2.6,
        "looks_unread": 0,
    }
    return TopicEvidence(**{**unused, **used, "estimate": shift, "interval": Interval(shift - 0.1, shift + 0.1)})


def looked(*probes, topics=TOPICS, **changes):
    drifts = tuple(drift(t.id, probe, **changes) for t in topics for probe in probes)
    rows = tuple(evidence(t.id, -0.29) for t in topics) if "confirm" in probes else ()
    return record(3, 40, drifts=drifts, evidence=rows)


def drawn(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def words(text):
    return set(text.replace("\u2502", " ").split())


@pytest.mark.parametrize("width", [80, 100, 120, 140])
@pytest.mark.parametrize("probes", [("statement",), ("statement", "confirm")])
def test_no_word_and_no_figure_is_cut_at_the_widths_that_terminals_have(width, probes):
    text = drawn(drift_table(INFO, looked(*probes)), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\u2026" not in text
    assert {"−0.31", "[−0.41,", "−0.21]", "−0.63", "immigration", "restrictive", "responsibility"} <= words(text)
    assert ("[−39 %, −19 %]" in text) == ("confirm" in probes)
    assert "preferences" in text


def test_a_wide_terminal_shows_everything_with_a_line_for_each_row():
    text = drawn(drift_table(INFO, looked("statement", "confirm")), 170)
    assert len([line for line in text.splitlines() if "−0.31 [−0.41, −0.21]" in line]) == len(TOPICS)
    assert len([line for line in text.splitlines() if "−29 % [−39 %, −19 %]" in line]) == len(TOPICS)
    assert {"support", "neutral", "oppose", "everyday_preferences"} <= words(text)
    assert "columns would show" not in text


def test_a_narrow_terminal_is_told_what_a_wider_one_would_show():
    text = " ".join(drawn(drift_table(INFO, looked("statement", "confirm")), 80).split())
    assert "columns would show the shares of support, neutral and oppose as well" in text
    needed = int(text.split(" columns would show")[-2].split()[-1])
    assert "oppose" in words(drawn(drift_table(INFO, looked("statement", "confirm")), needed))
    assert "columns would show" in drawn(drift_table(INFO, looked("statement", "confirm")), needed - 1)


def test_one_probe_stands_in_the_title_and_what_nobody_knows_has_no_column():
    hidden = {"magnitude": None, "score_shift": None, "interval": None}
    text = drawn(drift_table(INFO, looked("statement", **hidden)), 80)
    assert "step 40, against the baseline start, by the screen" in text
    assert "score shift" not in text
    assert "log-odds" in text
    assert "columns would show" not in text


def test_a_look_without_drifts_is_an_empty_table():
    assert "step 40" in drawn(drift_table(INFO, looked()), 80)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(text):
    topic = TopicInfo(text, text, (text, text), False, 5)
    shown = drawn(drift_table(run_info(topics=(topic,)), looked(text, topics=(topic,))), 400)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_two_runs_are_compared_without_cutting_a_word(tmp_path, monkeypatch, capsys):
    folders = [tmp_path / side / "a-run-with-a-name" for side in "ab"]
    for folder in folders:
        store = RunStore(folder)
        store.create(replace(INFO, run=folder.name))
        store.append_event("begin", attempt=0, step=0)
        store.append(replace(looked("statement", "confirm"), run=folder.name))
        store.write_baseline(Baseline("start", "tiny", {}, ()))
    monkeypatch.setenv("COLUMNS", "80")
    compare.main([str(folder) for folder in folders], standalone_mode=False)
    text = capsys.readouterr().out
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("[−0.41, −0.21]") == 2 * len(TOPICS), "two runs of one name have a column each"
    assert text.count("[−39 %, −19 %]") == 2 * len(TOPICS)
