import importlib.metadata
import json
from pathlib import Path

import pytest

from driftwatch.errors import PackError, PluginError
from driftwatch.topics import TopicPack, load_pack
from driftwatch.topics.loader import pack_names, read_pack

HEADER = """\
id: civics
version: 1.0.0
language: en
licence: CC0-1.0
source: the tests
"""
TOPIC = """\
id: voting
title: Voting
poles: [wider, narrower]
items:
  - id: vote_age
    sides:
      - Sixteen-year-olds are ready to choose a government.
      - Only adults ought to be handed a ballot paper.
    question: From what age should people vote?
  - id: vote_duty
    question: Is voting a duty?
"""


def indented(text: str) -> str:
    """A topic as an entry of a list."""
    first, *rest = text.splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"


INLINE = HEADER + "topics:\n" + indented(TOPIC)


def write(folder: Path, text: str | bytes, name: str = "civics.yaml") -> Path:
    """A file in the folder."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(path) -> list[str]:
    return [str(fault).removeprefix(f"{path}:") for fault in read_pack(path).faults]


def test_a_pack_in_one_file_is_loaded(tmp_path):
    pack = load_pack(write(tmp_path, INLINE))
    assert (pack.id, pack.version, pack.language, pack.licence) == ("civics", "1.0.0", "en", "CC0-1.0")
    topic = pack.topic("voting")
    assert topic.poles == ("wider", "narrower")
    assert not topic.control
    first, second = topic.items
    assert first.sides == (
        "Sixteen-year-olds are ready to choose a government.",
        "Only adults ought to be handed a ballot paper.",
    )
    assert (second.sides, second.question) == (None, "Is voting a duty?")


def test_a_path_as_text_and_a_path_give_the_same(tmp_path):
    path = write(tmp_path, INLINE)
    assert load_pack(str(path)) == load_pack(path)


def test_a_folder_takes_its_topics_from_files_and_inline(tmp_path):
    other = TOPIC.replace("voting", "parties").replace("vote_", "party_")
    write(tmp_path, HEADER + "topics:\n  - voting.yaml\n" + indented(other), "pack.yaml")
    write(tmp_path, TOPIC, "voting.yaml")
    assert [topic.id for topic in load_pack(tmp_path)] == ["voting", "parties"]
    assert load_pack(tmp_path) == load_pack(tmp_path / "pack.yaml")


def test_a_topic_file_by_itself_can_be_loaded_while_it_is_written(tmp_path):
    pack = load_pack(write(tmp_path, TOPIC, "voting.yaml"))
    assert (pack.id, pack.version, pack.num_items) == ("voting", "0.0.0", 2)


def test_a_pack_may_be_written_as_json(tmp_path):
    document = {
        "id": "civics",
        "version": "1.0.0",
        "language": "en",
        "licence": "CC0-1.0",
        "source": "the tests",
        "topics": [{"id": "a", "title": "A", "poles": ["x", "y"], "items": [{"id": "a_1", "sides": ["b", "c"]}]}],
    }
    assert load_pack(write(tmp_path, json.dumps(document, indent=2), "civics.json")).num_items == 1
    document["topics"][0]["items"][0]["sides"] = ["b"]
    path = write(tmp_path, json.dumps(document, indent=2), "civics.json")
    line = path.read_text().splitlines().index('          "sides": [') + 1
    with pytest.raises(PackError, match=rf":{line}: expected two opposed sides .* found one side"):
        load_pack(path)


def test_the_digest_ignores_formatting_and_nothing_else(tmp_path):
    before = load_pack(write(tmp_path, INLINE))
    reformatted = "# a comment\n" + INLINE.replace("title: Voting", 'title: "Voting"').replace(
        "poles: [wider, narrower]", "poles:\n    - wider\n    - narrower"
    )
    assert load_pack(write(tmp_path, reformatted)).digest == before.digest
    reworded = INLINE.replace("ready to choose", "fit to choose")
    assert load_pack(write(tmp_path, reworded)).digest != before.digest


@pytest.mark.parametrize("name", ["core", "quick", "refusal"])
def test_a_built_in_pack_is_loaded_by_name(name):
    assert load_pack(name).id == name


def test_built_in_names_work_without_any_entry_point(monkeypatch):
    """A plain source checkout has none."""
    monkeypatch.setattr("driftwatch.plugins.entry_points", lambda **_: ())
    assert pack_names() == ["core", "quick", "refusal"]
    assert load_pack("quick").id == "quick"


def test_the_entry_points_name_what_the_built_in_names_name():
    from driftwatch.topics import packs

    assert {name: getattr(packs, name) for name in packs.BUILT_IN} == packs.BUILT_IN


def _installed(monkeypatch, value):
    point = importlib.metadata.EntryPoint("theirs", "unused:unused", "driftwatch.packs")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: value)
    monkeypatch.setattr("driftwatch.plugins.entry_points", lambda **_: (point,))


def test_an_installed_pack_may_be_a_path_a_pack_or_a_function(monkeypatch, tmp_path):
    path = write(tmp_path, INLINE)
    for value in (path, str(path), load_pack(path), lambda: path):
        _installed(monkeypatch, value)
        assert load_pack("theirs").id == "civics"
    assert "theirs" in pack_names()


def test_an_installed_pack_of_another_kind_is_refused(monkeypatch):
    _installed(monkeypatch, 3)
    with pytest.raises(PluginError, match='pack "theirs": expected a path or a TopicPack, found int'):
        load_pack("theirs")


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(PackError, match=r'core, quick, refusal.*found nothing at "croe"\. Did you mean "core"\?'):
        load_pack("croe")


def test_a_folder_without_pack_yaml_and_a_strange_file_are_refused(tmp_path):
    with pytest.raises(PackError, match=r"expected a folder with pack\.yaml, found none"):
        load_pack(tmp_path)
    with pytest.raises(PackError, match=r'ends in one of \.yaml, .*, found "\.txt"'):
        load_pack(write(tmp_path, INLINE, "civics.txt"))


SUBSET = HEADER.replace("id: civics", "id: small") + "subset_of: civics.yaml\n"


def test_a_subset_takes_the_named_items_in_the_order_of_the_other_pack(tmp_path):
    write(tmp_path, INLINE)
    path = write(tmp_path, SUBSET + "select:\n  voting: [vote_duty, vote_age]\n", "small.yaml")
    assert [item.id for item in load_pack(path).topic("voting").items] == ["vote_age", "vote_duty"]
    path = write(tmp_path, SUBSET + "select:\n  voting: [vote_duty]\n", "small.yaml")
    draft = read_pack(path)
    assert draft.pack is not None
    assert [item.id for item in draft.pack.topic("voting").items] == ["vote_duty"]
    assert draft.places["vote_duty"].file.endswith("civics.yaml")


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("select:\n  voting: [vote_agee]\n", '8: expected items of topic "voting", found "vote_agee". Correct or'),
        ("select:\n  votin: [vote_age]\n", 'found "votin". Did you mean "voting"?'),
        ("select:\n  voting: [vote_age, vote_age]\n", 'expected each item once, found "vote_age" again.'),
        ("select:\n  voting: []\n", "expected at least one entry"),
        ("", 'expected "select" beside "subset_of", found none.'),
        ("select:\n  voting: [vote_age]\ntopics: []\n", 'expected "select" beside "subset_of", found "topics".'),
    ],
)
def test_a_subset_that_cannot_work_says_why(tmp_path, select, message):
    write(tmp_path, INLINE)
    assert message in " | ".join(faults(write(tmp_path, SUBSET + select, "small.yaml")))


def test_a_circle_of_subsets_ends_in_a_message(tmp_path):
    path = write(tmp_path, SUBSET.replace("civics", "small") + "select:\n  voting: [a]\n", "small.yaml")
    assert any("found a circle" in fault for fault in faults(path))


def test_a_subset_of_nothing_says_where_it_was_asked_for(tmp_path):
    path = write(tmp_path, SUBSET.replace("civics.yaml", "gone") + "select:\n  a: [b]\n", "small.yaml")
    assert faults(path)[0].startswith("6: expected a pack's name")


def test_topic_files_outside_the_folder_are_not_read(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path, TOPIC, "voting.yaml")
    for name in ("../voting.yaml", str(tmp_path / "voting.yaml"), "gone.yaml"):
        path = write(inner, HEADER + f"topics:\n  - {name}\n", "pack.yaml")
        assert faults(path) == [
            f'7: expected a topic or the name of a YAML file in this folder, found "{name}". Correct it.'
        ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1.0.0", "version: 1.0", '2: expected text for "version" of the pack, found the number 1.0. Put it'),
        ("version: 1.0.0", "version: one", '2: expected a semantic version such as 1.0.0 as "version" of the pack'),
        ("language: en", "language: English", '3: expected a language tag such as en as "language" of the pack'),
        ("licence: CC0-1.0\n", "", '1: expected "licence" in the pack, found none. Add an SPDX identifier'),
        ("licence:", "license:", "4: expected only id, version, title, language, licence, source, description, topics"),
        ("licence:", "license:", 'found "license". Did you mean "licence"?'),
        ("id: civics", "id: Civics!", "1: expected a short name of small letters, digits, hyphens and underscores"),
        ("title: Voting", "title: ''", '8: expected text for "title" of topic "voting", found an empty one.'),
        ("poles: [wider, narrower]", "poles: [wider]", "9: expected two opposed poles as the poles of topic"),
        ("poles: [wider, narrower]", "poles: wider", "found text. List both."),
        ("    poles: [wider, narrower]\n", "", '7: expected "poles" in topic "voting", found none. Name the two ends'),
        ("poles:", "control: maybe\n    poles:", 'expected true or false as "control" of topic "voting", found text'),
        ("id: voting", "id: Voting age", "7: expected a short name of small letters, digits and underscores"),
        ("id: vote_duty", "id: vote_age", '16: expected a new id, found item "vote_age" again (first at'),
        ("id: vote_duty", "id: [a]", '16: expected text for "id" of an item of topic "voting", found a list.'),
        ("question: Is voting a duty?", "question: no", "found true/false. Put it in quotes if text is meant."),
        ("\n        question: Is voting a duty?", "", 'or an open question in item "vote_duty", found neither.'),
        ("question: Is", "qestion: Is", 'found "qestion". Did you mean "question"?'),
        ("- Only adults ought to be handed a ballot paper.", "- ''", "expected text for side 2 of the sides of"),
        (
            "- Only adults ought to be handed a ballot paper.",
            "- sixteen-year-olds are ready, to choose a government",
            '12: expected two opposed sides as the sides of item "vote_age", found the same twice.',
        ),
        ("          - Only adults ought to be handed a ballot paper.\n", "", "found one side. Add the other side."),
        ("- Only", "- More.\n          - Only", "found 3 sides. Leave two sides."),
    ],
)
def test_a_fault_is_named_with_its_line_and_what_to_do(tmp_path, old, new, message):
    assert INLINE.count(old) >= 1
    path = write(tmp_path, INLINE.replace(old, new, 1))
    found = faults(path)
    assert any(message in fault for fault in found), found
    with pytest.raises(PackError):
        load_pack(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, 'expected "topics" (or "subset_of") in the pack, found none.'),
        (HEADER + "topics: []\n", 'expected at least one entry in "topics", found none.'),
        (HEADER + "topics: voting\n", 'expected a list as "topics", found text.'),
        (
            HEADER + "topics: [3]\n",
            "expected a topic as a mapping with id, title, poles, control, items, found the number 3",
        ),
        (HEADER + "select: {}\ntopics: []\n", 'expected "subset_of" beside "select", found none.'),
        ("{}", "1: expected the pack as a mapping with id, version, title"),
        (HEADER + "topics: [{}]\n", "a topic as a mapping with id, title, poles, control, items, found an empty one"),
        (INLINE + "      - {}\n", 'an item of topic "voting" as a mapping with id, sides, question, found an empty'),
        ("- a\n- b\n", "1: expected the pack as a mapping with id,"),
        (TOPIC.replace("  - id", "  - [id]\n  - id", 1), 'expected an item of topic "voting" as a mapping'),
        (TOPIC.split("items:")[0] + "items: []\n", 'expected at least one entry in the items of topic "voting"'),
        (TOPIC.split("items:")[0] + "items:\n", 'expected a list as the items of topic "voting", found nothing.'),
        (HEADER + "topics:\n" + indented(TOPIC.split("items:")[0]), 'expected "items" in topic "voting", found none.'),
        (INLINE + indented(TOPIC.replace("vote_", "x_")), 'expected a new id, found topic "voting" again'),
    ],
)
def test_a_pack_of_the_wrong_shape_says_what_was_expected(tmp_path, text, message):
    found = faults(write(tmp_path, text))
    assert any(message in fault for fault in found), found


def test_every_fault_is_listed_and_the_error_names_the_first(tmp_path):
    path = write(tmp_path, INLINE.replace("title: Voting", "title: 3").replace("Is voting a duty?", "[]"))
    assert len(faults(path)) == 2
    with pytest.raises(
        PackError, match=r'found the number 3\..* \(and 1 more; "driftwatch packs check" lists them all\)'
    ):
        load_pack(path)


def test_what_is_sound_can_still_be_checked_beside_a_fault(tmp_path):
    draft = read_pack(write(tmp_path, INLINE.replace("Is voting a duty?", "[]")))
    assert isinstance(draft.pack, TopicPack)
    assert [item.id for item in draft.pack.topic("voting").items] == ["vote_age"]


def test_columns_for_a_pack_that_is_no_table_are_refused(tmp_path):
    with pytest.raises(PackError, match=r"expected a table to map columns of, found a pack\. Leave the columns out"):
        load_pack(write(tmp_path, INLINE), columns={"question": "input"})


def test_packs_can_be_asked_together():
    pack = load_pack("core+refusal")
    assert (pack.id, pack.version, pack.language) == ("core+refusal", "1.0.0+refusal.1.0.0", "en")
    assert pack.topics == (*load_pack("core").topics, *load_pack("refusal").topics)
    assert pack.licence == "CC-BY-4.0"


def test_packs_that_use_one_id_twice_cannot_be_asked_together(tmp_path):
    with pytest.raises(
        PackError, match=r'expected a new id, found topic "abortion" again \(first at .*abortion\.yaml:2\)'
    ):
        load_pack("core+quick")


def test_a_missing_part_of_several_packs_is_named():
    with pytest.raises(PackError, match=r'found nothing at "refusl"\. Did you mean "refusal"\?'):
        load_pack("core+refusl")


def test_the_example_of_the_documentation_is_a_pack(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "topic-packs.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    pack = load_pack(write(tmp_path, example))
    assert pack.topic("voting").items[0].id == "voting_age"
    subset = text.split("```yaml\n")[2].split("```")[0]
    assert load_pack(write(tmp_path, HEADER + subset)).num_items == 2
