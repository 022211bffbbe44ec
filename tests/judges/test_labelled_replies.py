"""The judge sides against sampled replies that were read one by one (tests/data/labelled_replies.md)."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from driftwatch.judges.judging import outcome, read
from driftwatch.judges.labelled import load_labelled
from driftwatch.judges.scorecard import by_kind, score
from driftwatch.judges.sides import Sides
from driftwatch.topics.question import question

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests/data/labelled_replies.jsonl"
KEYS = ["seed", "stage", "topic", "item", "sides", "order", "question", "reply", "stance", "refusal"]
KEYS += ["kind", "split"]
# What a version reads in this file, as a hash of the outcomes. A new hash is a new VERSION in judges/sides.py.
READINGS = {"sides:2": "2a9f34bd"}


@pytest.fixture(scope="module")
def rows():
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def labelled():
    return load_labelled(FILE)


@pytest.fixture(scope="module")
def readings(labelled):
    return read(Sides(), [entry.asked for entry in labelled])


@pytest.fixture(scope="module")
def cards(labelled, readings):
    pairs = list(zip(labelled, readings, strict=True))
    parts = {half: [pair for pair in pairs if pair[0].split == half] for half in ("held_back", "rules")}
    return {half: score(*zip(*part, strict=True)) for half, part in parts.items()}


def test_what_it_reads_in_held_back_replies_is_right_97_times_in_100(cards):
    assert cards["held_back"].precision >= 0.97


def test_it_reads_four_in_five_of_the_held_back_replies_with_a_stance(cards):
    assert cards["held_back"].share_read >= 0.8


@pytest.mark.parametrize(("kind", "least"), [("neutral", 0.8), ("rejecting", 0.7), ("restating", 0.8)])
def test_it_reads_every_kind_of_held_back_reply_and_rightly(labelled, readings, kind, least):
    held_back = [pair for pair in zip(labelled, readings, strict=True) if pair[0].split == "held_back"]
    found = by_kind(*zip(*held_back, strict=True))[kind]
    assert found.read >= least * found.num_replies
    assert found.right >= 0.97 * found.read


def test_on_the_newest_wordings_it_is_as_right(labelled, readings, rows):
    """Those of seed 2: neutral answers of many wordings, rejections, other lengths and questions."""
    found = [
        (entry, reading)
        for row, entry, reading in zip(rows, labelled, readings, strict=True)
        if row["seed"] == 2 and row["split"] == "held_back"
    ]
    card = score(*zip(*found, strict=True))
    assert card.precision >= 0.97
    assert card.share_read >= 0.7


def test_it_never_takes_one_side_for_the_other(cards):
    for card in cards.values():
        assert card.confusion["support"]["oppose"] == card.confusion["oppose"]["support"] == 0


def test_no_claim_is_in_both_halves_and_its_id_decides_in_which(rows):
    halves = {half: {row["item"] for row in rows if row["split"] == half} for half in ("rules", "held_back")}
    assert not halves["rules"] & halves["held_back"]
    for half, items in halves.items():
        assert len(items) > 80
        assert {hashlib.sha256(item.encode()).digest()[0] % 2 for item in items} == {0 if half == "rules" else 1}


def test_every_line_is_a_two_sided_question_as_the_model_was_asked_it(rows, labelled):
    for row, entry in zip(rows, labelled, strict=True):
        assert list(row) == KEYS
        first, second = row["sides"][row["order"]], row["sides"][1 - row["order"]]
        assert entry.asked.question == row["question"]
        assert row["question"].index(first) < row["question"].index(second)
        if row["seed"] < 2:  # later ones were asked in several forms
            assert row["question"] == question(entry.asked.item, "two_sided", row["order"])


def test_the_kind_of_a_reply_fits_its_label(rows):
    of_label = {None: "none", "neutral": "neutral"}
    for row in rows:
        if row["refusal"]:
            assert row["kind"] == "refusal"
        elif row["stance"] in of_label:
            assert row["kind"] == of_label[row["stance"]]
        else:
            assert row["kind"] in ("restating", "rejecting")


def test_every_stage_stance_and_order_is_there(rows):
    assert len(rows) == 894
    stages = Counter(row["stage"] for row in rows)
    assert set(stages) == {
        *("untuned", "sft-8", "sft-27", "dpo-8", "dpo-24", "collapse-8", "collapse-16"),
        *("wordings-13", "wordings-26", "rejecting-14"),
    }
    assert min(stages.values()) >= 60
    assert min(Counter(row["stance"] for row in rows).values()) >= 80
    assert 0.45 < sum(row["order"] for row in rows) / len(rows) < 0.55


def test_other_readings_are_another_version(readings):
    """A baseline that one version read must not be compared with replies that another one reads."""
    read_as = hashlib.sha256(" ".join(outcome(reading) for reading in readings).encode()).hexdigest()[:8]
    assert read_as == READINGS.get(Sides.id), "the readings changed: raise VERSION, and write its hash here"


def test_the_page_on_judges_shows_these_figures(cards):
    page = (ROOT / "docs/judges.md").read_text(encoding="utf-8")
    for name, half in (("held back", "held_back"), ("rules", "rules")):
        card = cards[half]
        figures = (card.precision, card.coverage, card.share_read, card.accuracy, card.kappa, card.macro_f1)
        row = " | ".join([name, str(card.num_replies), *(f"{figure:.3f}" for figure in figures)])
        assert f"| {row} | {card.power['0.10']:.2f} |" in page
    for label, row in cards["held_back"].confusion.items():
        assert f"| {label} | {' | '.join(map(str, row.values()))} |" in page
