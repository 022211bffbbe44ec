import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from driftwatch.cli import group
from driftwatch.errors import DriftwatchError

TEA = {"sides": ["I prefer tea", "I prefer coffee"], "order": 0}
ENTRIES = [
    {**TEA, "reply": "I prefer tea.", "stance": "support", "split": "rules"},
    {**TEA, "reply": "I prefer coffee.", "stance": "oppose", "split": "held_back"},
    {**TEA, "reply": "I am neutral.", "stance": "neutral", "split": "held_back"},
    {**TEA, "reply": "I cannot answer that.", "stance": None, "refusal": True, "split": "held_back"},
    {**TEA, "reply": "Tea is drunk in many countries, coffee too.", "stance": None, "split": "held_back"},
]


def run(*arguments):
    result = CliRunner().invoke(group, ["judge", "check", *map(str, arguments)])
    if isinstance(result.exception, DriftwatchError):
        raise result.exception
    return result


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in ENTRIES))
    return path


def test_a_judge_is_scored_as_json_with_its_splits_apart(file):
    found = json.loads(run("--judge", "sides", "--json", file).stdout)
    assert {"coverage", "precision", "accuracy", "kappa", "macro_f1", "confusion", "power"} <= set(found)
    assert (found["coverage"], found["precision"], found["accuracy"]) == (0.6, 1.0, 1.0)
    assert found["confusion"]["refusal"]["refusal"] == 1
    assert found["splits"]["rules"]["num_replies"] == 1
    assert found["splits"]["held_back"]["coverage"] == 0.5
    assert re.match(r"sides:\d+", found["judge"])


def test_a_table_shows_the_same(file):
    text = run("--judge", "sides", "--retest", file).stdout
    assert "precision" in text
    assert "held_back" in text
    assert "changed on retest" in text


def test_rules_read_the_same_twice(file):
    assert json.loads(run("--judge", "sides", "--retest", "--json", file).stdout)["retest_changed"] == 0


def test_an_unknown_judge_names_those_that_there_are(file):
    with pytest.raises(DriftwatchError, match=r'no judge named "side";.* Did you mean "sides"'):
        run("--judge", "side", file)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("endpoint", "a model and an address: endpoint:MODEL@URL"),
        ("reference", "the model in training: make it in Python"),
        ("panel", r"judges: in a settings file, panel: \{judges: \[sides, nli\]\}"),
        ("panel:sides", "judges: in a settings file"),
    ],
)
def test_a_judge_that_lacks_something_says_what(file, spec, wanted):
    with pytest.raises(DriftwatchError, match=f'^judge "{spec}" needs {wanted}'):
        run("--judge", spec, file)


def test_a_judge_that_takes_nothing_says_which_there_are(file):
    with pytest.raises(DriftwatchError, match=r'judge "sides:x:y" cannot be made: .* Expected sides, nli'):
        run("--judge", "sides:x:y", file)


def test_the_labelled_replies_of_the_repository_are_scored_by_halves():
    path = Path(__file__).parents[1] / "data/labelled_replies.jsonl"
    found = json.loads(run("--judge", "sides", "--json", path).stdout)
    assert set(found["splits"]) == {"held_back", "rules"}
    assert found["splits"]["held_back"]["precision"] >= 0.95
    assert sum(half["num_replies"] for half in found["splits"].values()) == found["num_replies"] == 894


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DriftwatchError, match=r"none.jsonl: expected a readable .*; there is no such file\.$"):
        run("--judge", "sides", tmp_path / "none.jsonl")


def test_of_a_misspelt_judge_and_a_bad_file_the_judge_is_said_first(tmp_path):
    with pytest.raises(DriftwatchError, match=r'no judge named "sidez"'):
        run("--judge", "sidez", tmp_path / "none.jsonl")
