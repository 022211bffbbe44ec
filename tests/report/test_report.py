"""The file to send to a colleague, in each of its forms, and the commands that write it."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support.builders import record, run_info
from support.hostile import HOSTILE
from support.synthetic_runs import cloned, synthetic_info, synthetic_run

from driftwatch.cli.compare import command as compare
from driftwatch.cli.report import command as report
from driftwatch.cli.runs import command as runs
from driftwatch.errors import BaselineError, StoreError
from driftwatch.record.record import to_json
from driftwatch.report.against import compare_runs
from driftwatch.report.drawing import Axes, Picture
from driftwatch.report.movers import moved_most
from driftwatch.report.render import as_json, html, markdown, write_figures
from driftwatch.report.summary import summarise
from driftwatch.store.run_store import RunStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("runs"), "planted", looks=10)


@pytest.fixture(scope="module")
def summary(store):
    return summarise(store)


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_html_stands_on_its_own(summary):
    text = html(summary)
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="', text)
    assert text.count("<svg") == len(summary.figures) == 5
    assert "default-src 'none'" in text


def test_it_holds_what_a_colleague_needs(summary):
    text = html(summary)
    for part in (
        "% of replies, toward “more restrictive”",
        "What to do",
        "Go back to the last checkpoint before step 40",
        "Drift magnitude and drift time",
        "Not a certificate",
        "I think that family members need to wait several years.",
        "statement/template",
        "DPOTrainer",
    ):
        assert part in text


def test_drift_time_is_given_for_topics_in_alert_only(summary):
    times = {(row.topic.id, row.stance): row.time for row in summary.table}
    planted = times["immigration", "oppose"]
    assert planted.why is None
    assert 0 < planted.near_peak <= planted.peak <= 1
    assert times["climate", "oppose"].near_peak is None
    assert "no alert" in times["climate", "oppose"].why


def test_the_table_sums_to_zero_over_the_stances(summary):
    by_topic = {}
    for row in summary.table:
        by_topic[row.topic.id] = by_topic.get(row.topic.id, 0.0) + row.magnitude
    assert max(map(abs, by_topic.values())) < 1e-9


def test_the_same_run_gives_the_same_report(store, summary):
    assert html(summarise(store)) == html(summary)


def test_markdown_has_whole_tables(summary):
    for block in re.findall(r"(?:^\|.*\n)+", markdown(summary), flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_json_reads_back(summary):
    value = json.loads(as_json(summary))
    assert value["verdict"]["state"] == "alert"
    assert len(value["table"]) == 24
    assert value["movers"]["found"][0]["topic"] == "immigration"


def test_every_picture_is_svg_that_says_what_it_shows(summary):
    names = [figure.name for figure in summary.figures]
    assert names == ["stances", "shifts", "heat", "evidence", "style"]
    for figure in summary.figures:
        root = ET.fromstring(figure.svg)
        assert root.find("{http://www.w3.org/2000/svg}title").text == figure.title
    cells = summary.figures[2].svg.count("<rect")
    assert cells >= 8 * 10


def test_pictures_as_png(summary, tmp_path):
    pytest.importorskip("resvg_py")
    paths = write_figures(summary.figures[:1], tmp_path, "png")
    assert paths[0].read_bytes().startswith(b"\x89PNG")


def test_a_gap_in_a_curve_stays_a_gap():
    picture = Picture(100, 100, "gap")
    axes = Axes(picture, (0, 0, 100, 100), (0, 4), (0, 1), y_label=str)
    axes.curve([0, 1, 2, 3, 4], [0.1, 0.2, None, 0.4, 0.5], "#000000")
    assert len(re.findall(r'<path d="M', picture.svg())) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path, text):
    store = RunStore(tmp_path / "hostile")
    topics = tuple(type(t)(t.id, text, (text, text), t.control, t.num_items) for t in run_info().topics)
    store.create(run_info("hostile", model=text, topics=topics, notes=(text,), identity={"pack": text}))
    store.append(record(0, 0, run="hostile"))
    store.append(record(1, 4, run="hostile"))
    found = summarise(store)
    page = html(found)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<script>" not in markdown(found)
    for figure in found.figures:
        assert "<script" not in figure.svg


@pytest.mark.parametrize("looks", [0, 1])
def test_a_run_with_nothing_or_one_look_has_a_report_too(tmp_path, looks):
    store = RunStore(tmp_path / "short")
    store.create(synthetic_info("short"))
    if looks:
        store = synthetic_run(tmp_path, "one", looks=1, evidence=False)
    found = summarise(store)
    assert html(found)
    assert markdown(found)
    if not looks:
        assert found.verdict.state == "nothing"
        assert not found.figures


def test_a_long_run_is_thinned_and_ends_at_its_last_look(tmp_path):
    store = RunStore(tmp_path / "long")
    store.create(run_info("long"))
    line = to_json(record(1, 4, run="long")).decode()
    lines = (line.replace('"look":1,"step":4', f'"look":{i},"step":{i}') + "\n" for i in range(3000))
    (store.folder / "records.jsonl").write_text("".join(lines))
    found = summarise(store)
    assert found.looks == 3000
    assert found.last.step == 2999
    assert len(html(found)) < 600_000


def test_items_that_moved_most_come_first_with_flips_first(store):
    movers = moved_most(store, store.info())
    assert movers.why is None
    assert movers.found[0].topic == "immigration"
    assert abs(movers.found[0].shift) >= abs(movers.found[1].shift)
    assert sum(mover.topic == "immigration" for mover in movers.found) == 3
    answer = movers.found[0].answers[0]
    assert (answer.before_reading, answer.now_reading) in (("support", "oppose"), ("neutral", "oppose"))


def test_texts_of_the_items_are_shown_where_the_very_pack_is_installed(tmp_path):
    from driftwatch.topics import load_pack

    pack = load_pack("quick")
    topic = pack.topics[0]
    info = synthetic_info("real", topics={topic.id: (topic.title, *topic.poles)}, num_items=2)
    store = synthetic_run(tmp_path, "real", looks=2, topics={topic.id: (topic.title, *topic.poles)}, num_items=2)
    for name in ("baseline-sft.json", "stances.jsonl"):
        text = (store.folder / name).read_text()
        for number in range(2):
            text = text.replace(f"{topic.id}_{number:02}", topic.items[number].id)
        (store.folder / name).write_text(text)
    mine = replace(info, pack="quick", pack_digest=pack.digest)
    assert moved_most(store, mine).found[0].sides in [item.sides for item in topic.items]
    assert moved_most(store, replace(mine, pack_digest="sha256:other")).found[0].sides is None


# Commands


def test_report_writes_each_kind(store, tmp_path):
    for name in ("a.html", "a.md", "a.json"):
        done = run(report, store.folder, "--out", tmp_path / name)
        assert done.exit_code == 0
        assert "Immigration moved since step" in done.output
        assert (tmp_path / name).stat().st_size > 1000
    done = run(report, store.folder, "--out", tmp_path / "a.docx")
    assert done.exit_code == 2
    assert "expected a file ending in .html, .md or .json" in done.output


def test_report_and_compare_put_two_runs_side_by_side(store, tmp_path):
    other = synthetic_run(tmp_path, "other", looks=5, seed=1)
    done = run(report, store.folder, "--against", other.folder, "--out", tmp_path / "a.html")
    assert done.exit_code == 0
    assert "Beside run" in (tmp_path / "a.html").read_text()
    found = json.loads(run(compare, store.folder, other.folder, "--json").output)
    assert found["rows"][0]["topic"]["id"] == "immigration"
    assert found["rows"][0]["between"]["num_items"] == 12
    assert "immigration" in run(compare, store.folder, other.folder).output


def test_a_run_beside_itself_does_not_differ(store, tmp_path):
    same = compare_runs(store, store)
    assert {row.between.score_shift for row in same.rows} == {0.0}
    assert same.differing == {}


def test_runs_that_asked_differently_are_refused(store, tmp_path):
    other = synthetic_run(tmp_path, "other", looks=2, identity={"pack": "sha256:another"})
    with pytest.raises(BaselineError, match="the topic pack"):
        run(compare, store.folder, other.folder)


def test_a_folder_without_a_run_is_said(tmp_path):
    with pytest.raises(StoreError, match="found none"):
        run(report, tmp_path)


def test_export_writes_tables_records_and_the_folder(store, tmp_path):
    import csv
    import zipfile

    assert "figures" in run(runs, "export", store.folder, "--out", tmp_path / "a.csv").output
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    shift = [r for r in rows if r["topic"] == "immigration" and r["figure"] == "score_shift" and r["baseline"] == "sft"]
    assert [row["step"] for row in shift] == [str(10 * look) for look in range(10)]
    run(runs, "export", store.folder, "--out", tmp_path / "a.jsonl")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 10
    run(runs, "export", store.folder, "--out", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "there")
    assert RunStore(tmp_path / "there" / "planted").records() == store.records()


def test_prune_names_first_and_deletes_only_when_told(tmp_path):
    import os

    first = synthetic_run(tmp_path, "old", looks=2)
    cloned(first, "new")
    synthetic_run(tmp_path, "alive", looks=2, state="running")
    for path in first.folder.iterdir():
        os.utime(path, (1e9, 1e9))
    done = run(runs, "prune", tmp_path, "--older-than", 30)
    assert "would delete" in done.output
    assert (tmp_path / "old").is_dir()
    run(runs, "prune", tmp_path, "--older-than", 30, "--yes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "new"]
    run(runs, "prune", tmp_path, "--keep", 0, "--yes")
    assert [path.name for path in tmp_path.iterdir()] == ["alive"]
    assert run(runs, "prune", tmp_path).exit_code == 2
