"""Items that moved most, of a real run with a pack of the user's own."""

import json

import pytest

from driftwatch.report.movers import moved_most
from driftwatch.report.render import html
from driftwatch.report.summary import summarise
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer
from driftwatch.watch.monitor import Monitor

ASKED = {item.id: (item.sides, item.question) for topic in tiny_pack() for item in topic.items}


@pytest.fixture
def store(tmp_path):
    tokenizer = tiny_tokenizer()
    monitor = Monitor(tiny_pack(), run="own", output_dir=tmp_path, exporters=())
    monitor.begin(tiny_model(tokenizer), tokenizer)
    monitor.observe(tiny_model(tokenizer, seed=1), 4)
    monitor.close("finished")
    return monitor.store


def test_the_texts_of_a_pack_that_is_installed_nowhere_are_shown(store):
    found = moved_most(store, store.info()).found
    assert found
    assert {mover.item: (mover.sides, mover.question) for mover in found}.items() <= ASKED.items()
    assert found[0].sides[0] in html(summarise(store))


def test_a_folder_without_its_pack_shows_items_by_name(store):
    (store.folder / "pack.json").unlink()
    found = moved_most(store, store.info()).found
    assert found
    assert {(mover.sides, mover.question) for mover in found} == {(None, None)}
    assert found[0].item in html(summarise(store))


@pytest.mark.parametrize("change", ["another text", "torn"])
def test_texts_that_may_not_be_what_was_asked_are_not_shown(store, change):
    path = store.folder / "pack.json"
    kept = json.loads(path.read_text())
    kept["topics"][0]["items"][0]["sides"][0] = "I want something else."
    path.write_text(json.dumps(kept) if change == "another text" else json.dumps(kept)[:-9])
    found = moved_most(store, store.info()).found
    assert found
    assert {mover.sides for mover in found} == {None}
