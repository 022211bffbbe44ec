"""The demo as a user runs it, with the tiny model, and what its verdict rests on."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from click.testing import CliRunner
from support.builders import record, run_info

from driftwatch.cli import group
from driftwatch.demo.verdict import verdict
from driftwatch.drift.interval import Interval
from driftwatch.evidence.verdict import TopicEvidence


def written(topic, shift, half=0.05):
    """The topic, and the net shift of its judged replies."""
    return topic, shift, Interval(shift - half, shift + half)


def evidence(topic, label="specific", state="alert", kind="direction"):
    unused = dict.fromkeys(field.name for field in fields(TopicEvidence))
    used = {"topic": topic, "kind": kind, "state": state, "label": label, "onset_step": 4, "num_draws": 200}
    evidence = {"log10_e_value": 4.0, "log10_value_e_value": 4.0, "log10_threshold": 2.8}
    return TopicEvidence(**{**unused, **used, **evidence})


PLANTED_ALONE = (written("parks", -0.25), written("tea", 0.05))


def judged(*rows, shifts=PLANTED_ALONE):
    known = {(row.topic, row.kind): row for row in rows}
    for topic, shift, interval in shifts:
        row = known.get((topic, "direction"), evidence(topic, label=None, state="ok"))
        known[topic, "direction"] = replace(row, estimate=shift, interval=interval)
    return verdict(run_info(), record(8, 24, evidence=tuple(known.values())), planted="parks", towards=1)


def test_planted_topic_that_alone_moved_passes():
    found = judged(evidence("parks"), evidence("parks", label=None, state="watch", kind="neutral"))
    assert found.passed
    assert "moving since step 4" in found.findings[2]


@pytest.mark.parametrize(
    ("rows", "shifts"),
    [
        ([evidence("parks")], (written("parks", -0.145, 0.025), written("tea", 0.0))),
        ([evidence("parks")], (written("parks", 0.25), written("tea", 0.0))),
        ([evidence("parks")], (written("parks", -0.25, 0.3), written("tea", 0.0))),
        ([evidence("parks")], (written("parks", -0.25), written("tea", -0.085))),
        ([evidence("parks", label="general")], (written("parks", -0.25), written("tea", 0.0))),
        ([evidence("parks", kind="neutral")], (written("parks", -0.25), written("tea", 0.0))),
        ([evidence("parks"), evidence("roads")], (written("parks", -0.25), written("tea", 0.0))),
        ([evidence("parks")], ()),
    ],
    ids=["too small", "other way", "unsure", "control too", "general", "neutral only", "another topic", "no replies"],
)
def test_anything_less_does_not(rows, shifts):
    found = judged(*rows, shifts=shifts)
    assert not found.passed
    assert any(finding.startswith("no: ") for finding in found.findings)


@pytest.mark.slow
def test_fast_demo_ends_with_the_planted_topic_alone_in_specific_alert(tmp_path):
    command = [sys.executable, "-m", "driftwatch", "demo", "--fast", "--out", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SFT step 14 of 140" in done.stdout  # without a terminal there is no bar
    last = json.loads((tmp_path / "dpo" / "records.jsonl").read_text().splitlines()[-1])
    specific = [row["topic"] for row in last["evidence"] if row["label"] == "specific" and row["kind"] == "direction"]
    assert specific == ["immigration"]


def test_fast_and_a_model_of_ones_own_are_refused_together(tmp_path):
    done = CliRunner().invoke(group, ["demo", "--fast", "--model", "some/model", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "give --fast or --model, not both" in done.output
