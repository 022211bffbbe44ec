import json

import pytest
from click.testing import CliRunner

from driftwatch.cli.packs import command
from driftwatch.errors import PackError
from driftwatch.topics import load_pack

PACK = """\
id: civics
version: 1.0.0
language: en
licence: CC0-1.0
source: the tests
description: Two items.
topics:
  - id: voting
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


def run(*args: object):
    return CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False, env={"COLUMNS": "200"})


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / "civics.yaml"
    path.write_text(PACK)
    return path


def test_list_names_the_built_in_packs():
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["core", "quick", "refusal"]
    assert rows[0]["items"] == load_pack("core").num_items
    assert "core" in run("list").stdout


def test_list_shows_a_broken_pack_beside_the_others(monkeypatch):
    def broken(name):
        if name == "quick":
            raise PackError("quick.yaml:3: expected [x], found y.")
        return load_pack(name)

    monkeypatch.setattr("driftwatch.cli.packs.load_pack", broken)
    out = run("list").stdout
    assert "expected [x], found y" in out
    assert "refusal" in out


def test_show_prints_topics_poles_and_who_can_ask_them(pack):
    out = run("show", pack).stdout
    for text in ("civics 1.0.0", "Two items.", "wider", "1 of 2 items", load_pack(pack).digest):
        assert text in out
    told = json.loads(run("show", pack, "--json").stdout)
    assert told["description"] == "Two items."
    assert told["by_topic"] == [
        {"id": "voting", "title": "Voting", "poles": ["wider", "narrower"], "control": False, "items": 2}
    ]


def test_show_of_a_topic_prints_every_item(pack):
    out = run("show", pack, "voting").stdout
    assert "vote_duty" in out
    assert "Is voting a duty?" in out
    told = json.loads(run("show", pack, "voting", "--json").stdout)
    assert told["by_item"][1] == {"id": "vote_duty", "sides": None, "question": "Is voting a duty?"}


def test_a_topic_that_is_not_there_is_answered_with_those_that_are(pack):
    result = run("show", pack, "votes")
    assert result.exit_code == 2
    assert 'expected a topic of "civics" (voting), found "votes"' in result.output


def test_check_fails_on_errors_and_only_then(pack):
    result = run("check", "--no-encoder", pack)
    assert result.exit_code == 0
    assert "errors 0, warnings" in result.stdout
    pack.write_text(PACK.replace("Is voting", "Is vot\ufffdng"))
    result = run("check", "--no-encoder", pack)
    assert result.exit_code == 1
    assert f'{pack}:17: encoding: item "vote_duty": the question holds U+FFFD' in result.stdout
    assert result.stdout.index("errors: 1") < result.stdout.index("warnings: ")


def test_check_lists_schema_faults_with_file_and_line(pack):
    pack.write_text(PACK.replace("question: Is", "qestion: Is").replace("title: Voting", "title: 3"))
    result = run("check", "--no-encoder", pack)
    assert result.exit_code == 1
    assert f"{pack}:9: schema: expected text" in result.stdout
    assert f"{pack}:18: schema: expected only id, sides, question" in result.stdout


def test_check_of_an_unreadable_pack_says_that_nothing_can_use_it(pack):
    pack.write_text("a: [")
    result = run("check", pack)
    assert result.exit_code == 1
    assert "Nothing can use this pack" in result.stdout


def test_strict_makes_warnings_count(pack):
    assert run("check", "--no-encoder", "--strict", pack).exit_code == 1


def test_check_tells_programs_the_same(pack):
    pack.write_text(PACK.replace("Is voting", "Is vot\ufffdng"))
    result = run("check", "--no-encoder", "--json", pack)
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    (error,) = told["errors"]
    assert (error["code"], error["item"], error["line"], error["file"]) == ("encoding", "vote_duty", 17, str(pack))
    assert {warning["code"] for warning in told["warnings"]} == {"few_items", "no_control"}
    assert told["pack"]["items"] == 2
    assert told["near_duplicates_by"] == "shared words"


def test_check_prints_twenty_findings_of_a_kind_unless_asked_for_all(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"topic": "a", "input": f"Do you agree that number{n} rules?"} for n in range(30)]))
    assert run("check", "--no-encoder", path).stdout.count(": leading: item") == 20
    assert "leading: 10 more (--all)" in run("check", "--no-encoder", path).stdout
    assert "more (--all)" not in run("check", "--no-encoder", "--all", path).stdout


def test_columns_are_mapped_on_the_command_line(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("frage,thema\nWhat now?,a\n")
    result = run("check", "--no-encoder", path, "--column", "question=frage", "--column", "topic=thema")
    assert result.exit_code == 0
    assert "1 of 1 items; they need a question" in result.stdout
    result = run("check", path, "--column", "question")
    assert result.exit_code == 2
    assert 'expected FIELD=NAME, found "question"' in result.output


def test_without_an_encoder_check_says_how_to_get_one(pack, monkeypatch):
    monkeypatch.setattr("driftwatch.topics.lint.embeddings.installed_folder", lambda: None)
    result = run("check", pack)
    assert "Near duplicates were sought by shared words. With a sentence encoder more are found" in result.stdout


def test_sample_draws_the_same_items_for_the_same_seed():
    first, again, other = (run("sample", "quick", "-n", 5, "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == again != other
    assert first.count("Which is closer to your view?") == 5


def test_sample_can_be_held_to_one_topic_and_prints_items_without_sides(pack):
    out = run("sample", pack, "--topic", "voting").stdout
    assert "Is voting a duty?" in out
    rows = json.loads(run("sample", pack, "--json").stdout)
    assert {row["id"] for row in rows} == {"vote_age", "vote_duty"}
    assert all(row["order"] in (0, 1) for row in rows)


def test_diff_says_what_changed_and_which_part_of_the_version_to_raise(pack, tmp_path):
    after = tmp_path / "after.yaml"
    after.write_text(PACK.replace("Is voting a duty?", "Ought one to vote?"))
    out = run("diff", pack, after).stdout
    assert "driftwatch refuses to compare runs across them; 1 items are asked alike" in out
    assert "Version part to raise: major (from 1.0.0; the second pack says 1.0.0)." in out
    told = json.loads(run("diff", pack, after, "--json").stdout)
    assert (told["comparable"], told["bump"], told["shared_items"]) == (False, "major", 1)
    same = run("diff", pack, pack).stdout
    assert "Both ask the same" in same
    assert "raise: none" in same


def test_a_subset_printed_is_a_subset_loaded(tmp_path):
    path = tmp_path / "mini.yaml"
    path.write_text(run("subset", "core", "-n", 3, "--id", "mini").stdout)
    pack = load_pack(path)
    assert {len(topic.items) for topic in pack} == {3}
    assert set(pack.topic("work").items) <= set(load_pack("core").topic("work").items)


def test_item_names_that_yaml_would_take_for_something_else_are_quoted(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"id": name, "topic": "a", "input": f"Is {name}?"} for name in ("1", "no", "1.5")]))
    (tmp_path / "mini.yaml").write_text(run("subset", path, "--id", "mini").stdout)
    assert [item.id for item in load_pack(tmp_path / "mini.yaml").topic("a").items] == ["1", "no", "1.5"]
