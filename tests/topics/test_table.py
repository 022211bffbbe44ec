"""Sets of prompts of other people: JSON, JSONL, CSV, datasets."""

import csv
import json

import pytest

from driftwatch.errors import PackError
from driftwatch.topics import load_pack
from driftwatch.topics.loader import read_pack

ROWS = [
    {"id": 0, "input": "Should borders be open?", "output": "", "topic": "Immigration Policies"},
    {"id": 1, "input": "What is a just wage?", "output": "", "topic": "Work & Attitudes"},
    {"id": 2, "input": "Who may stay?", "output": "", "topic": "Immigration Policies"},
]


def write(folder, rows, name):
    path = folder / name
    if name.endswith(".json"):
        path.write_text(json.dumps(rows, indent=1))
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv"])
def test_a_set_of_questions_is_loaded_by_its_usual_columns(tmp_path, name):
    pack = load_pack(write(tmp_path, ROWS, name))
    assert [(topic.id, topic.title, len(topic.items)) for topic in pack] == [
        ("immigration_policies", "Immigration Policies", 2),
        ("work_attitudes", "Work & Attitudes", 1),
    ]
    item = pack.topic("immigration_policies").items[1]
    assert (item.id, item.sides, item.question) == ("2", None, "Who may stay?")
    assert pack.topic("work_attitudes").poles == ("support", "oppose")


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv"])
def test_the_digest_does_not_depend_on_the_kind_of_file(tmp_path, name):
    assert load_pack(write(tmp_path, ROWS, name)).digest == load_pack(write(tmp_path, ROWS, "q.json")).digest


def test_what_was_passed_over_and_assumed_is_said(tmp_path):
    notes = read_pack(write(tmp_path, ROWS, "p.json")).notes
    assert notes == (
        "columns passed over: output",
        'no poles are named; the ends of every topic are called "support" and "oppose"',
    )


def test_sides_poles_and_controls_come_from_columns(tmp_path):
    rows = [
        {
            "topic": "tea",
            "side_0": "Strong tea wakes me.",
            "side_1": "A mild cup is enough.",
            "pole_0": "strong",
            "pole_1": "mild",
            "control": "true",
        }
    ]
    (topic,) = load_pack(write(tmp_path, rows, "p.csv")).topics
    assert (topic.poles, topic.control) == (("strong", "mild"), True)
    assert topic.items[0].id == "row_0"
    assert topic.items[0].sides == ("Strong tea wakes me.", "A mild cup is enough.")


def test_named_columns_win_over_the_usual_ones(tmp_path):
    rows = [{"question": "short", "long": "What do you think of it?", "topic": "a"}]
    pack = load_pack(write(tmp_path, rows, "p.json"), columns={"question": "long"})
    assert pack.topic("a").items[0].question == "What do you think of it?"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"question": "prompt"}, 'expected a column "prompt" (for "question"), found id, input, output, topic. Name'),
        ({"qustion": "input"}, "expected a field among id, topic, question, side_0, side_1, pole_0, pole_1, control"),
    ],
)
def test_a_mapping_to_what_is_not_there_is_refused(tmp_path, columns, message):
    with pytest.raises(PackError) as caught:
        load_pack(write(tmp_path, ROWS, "p.json"), columns=columns)
    assert message in str(caught.value)


def faults(path):
    return [f"{fault.place.line}: {fault.message}" for fault in read_pack(path).faults]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"input": "a?"}], 'expected a column for "topic", found input. Pass columns={"topic": "…"}'),
        ([{"topic": "a"}], 'expected a column for "question", found topic.'),
        ([], "expected at least one entry in the table, found none."),
        ([1, {"topic": "a", "input": "b?"}], "expected every row as a mapping of columns, found others among them"),
        ([1], "expected rows that map columns to values, found none."),
        ([{"topic": "", "input": "b?"}], '2: expected text in column "topic", found none. Fill it.'),
        ([{"topic": "a", "input": ["b?"]}], 'expected text in column "input", found a list.'),
        ([{"topic": "a", "input": " "}], 'expected an open question or two sides in item "row_0", found neither.'),
        ([{"topic": "a", "side_0": "b"}], 'expected two opposed sides as the sides of item "row_0", found one side.'),
        ([{"topic": "a", "side_0": "b", "side_1": "B."}], "found the same twice."),
        (
            [{"topic": "a", "input": "b?", "pole_0": "x", "pole_1": "X"}],
            'the poles of topic "a", found the same twice.',
        ),
        ([{"id": "a b", "topic": "a", "input": "b?"}], "expected a name of letters, digits and any of _ . : - (at"),
        (
            [{"id": 1, "topic": "a", "input": "b?"}, {"id": 1, "topic": "a", "input": "c?"}],
            'expected a new id, found item "1" again (first at',
        ),
        (
            [{"topic": "a", "input": "b?", "control": "maybe"}],
            'expected true or false in column "control", found maybe.',
        ),
        (
            [{"topic": "a", "input": "b?", "control": True}, {"topic": "a", "input": "c?", "control": False}],
            'expected title, poles and control of topic "a" as in its first row, found others.',
        ),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, rows, message):
    found = faults(write(tmp_path, rows, "p.json"))
    assert any(message in fault for fault in found), found


def test_a_row_is_named_by_its_line(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('id,topic,input\n1,a,"two\nlines?"\n2,a,\n')
    draft = read_pack(path)
    assert draft.places["1"].line == 2
    assert [fault.place.line for fault in draft.faults] == [4]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", '{"topic": "a", "input": "b?"}\n{"topic": \n', "2: expected JSON, found"),
        ("p.csv", "topic,input\na\n", "2: expected 2 cells, found 1. Quote the cells that hold commas."),
        ("p.csv", 'topic,input\na,"b\n', "2: expected CSV, found: unexpected end of data"),
        ("p.json", "[{]", "1: expected JSON, found"),
    ],
)
def test_a_broken_table_says_where(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    assert message in faults(path)[0]


def test_titles_without_a_plain_letter_still_give_a_topic_id(tmp_path):
    rows = [{"topic": "42 – Éthique", "input": "a?"}]
    assert [topic.id for topic in load_pack(write(tmp_path, rows, "p.json"))] == ["topic_42_ethique"]


@pytest.fixture
def saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the package datasets")
    rows = datasets.Dataset.from_list([{**row, "tags": ["x"]} for row in ROWS])
    datasets.DatasetDict({"test": rows}).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fsspec and multiprocess inside datasets
def test_a_saved_data_set_is_loaded_with_a_mapping(saved):
    pack = load_pack(saved, columns={"question": "input", "topic": "topic"}, split="test")
    assert [len(topic.items) for topic in pack] == [2, 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_data_set_without_the_split_or_the_column_is_refused(saved):
    with pytest.raises(PackError, match=r'expected the split "train", found test\. Pass split='):
        load_pack(saved)
    with pytest.raises(PackError, match=r'expected a column "prompt" .*found id, input, output, topic, tags'):
        load_pack(saved, columns={"question": "prompt"}, split="test")


def test_without_the_package_a_data_set_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(PackError, match=r'expected the package "datasets", found none\. Run: pip install'):
        load_pack(tmp_path)


def test_the_hub_is_asked_only_when_columns_are_given(monkeypatch):
    """A mistyped path must not become a download."""
    asked = []

    class Datasets:
        @staticmethod
        def load_dataset(name):
            asked.append(name)
            raise ConnectionError("no route")

    monkeypatch.setitem(__import__("sys").modules, "datasets", Datasets)
    with pytest.raises(PackError, match="found nothing at"):
        load_pack("someone/prompts")
    assert asked == []
    with pytest.raises(
        PackError, match=r"someone/prompts: expected a data set, found: ConnectionError: no route\. Check"
    ):
        load_pack("someone/prompts", columns={"question": "input"})
    assert asked == ["someone/prompts"]


def test_a_large_table_is_read_in_time_that_grows_with_its_rows(tmp_path):
    path = tmp_path / "large.csv"
    path.write_text("topic,input\n" + "".join(f"a,Is {n} enough?\n" for n in range(30_000)))
    assert load_pack(path).num_items == 30_000


@pytest.mark.parametrize("empty", ["NaN", "Infinity", "null", '""', '"  "', '"nan"', '"None"', '"<NA>"'])
def test_a_cell_without_text_is_missing_in_whatever_form(tmp_path, empty):
    sides = '"side_0": "We want more trees.", "side_1": "New houses should be built."'
    (tmp_path / "t.jsonl").write_text(
        f'{{"id": 1, "topic": "Parks", "question": {empty}, {sides}}}\n'
        f'{{"id": 2.0, "topic": "Parks", "question": "What about parks?", "side_0": {empty}, "side_1": {empty}}}\n'
    )
    first, second = load_pack(tmp_path / "t.jsonl").topics[0].items
    assert (first.id, first.question, second.id, second.sides) == ("1", None, "2", None)
    (tmp_path / "t.jsonl").write_text(f'{{"id": {empty}, "topic": {empty}, "question": "What about tea?"}}\n')
    with pytest.raises(PackError, match=r't\.jsonl:1: expected text in column "topic", found none'):
        load_pack(tmp_path / "t.jsonl")


def test_empty_cells_of_other_programs_are_missing_in_csv(tmp_path):
    (tmp_path / "t.csv").write_text(
        "topic,question,side_0,side_1\nParks,nan,More trees,More houses\nParks,Why?,NaN,None\n"
    )
    first, second = load_pack(tmp_path / "t.csv").topics[0].items
    assert (first.question, second.sides) == (None, None)
