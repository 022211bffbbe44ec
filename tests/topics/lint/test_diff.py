from dataclasses import replace

import pytest

from driftwatch.topics import Item, Topic, TopicPack
from driftwatch.topics.lint.diff import diff

ITEMS = (Item("a", ("one", "two"), "Which?"), Item("b", ("three", "four"), None))
TOPIC = Topic("t", "T", ("up", "down"), False, ITEMS)
PACK = TopicPack("p", "1.0.0", "en", "CC0-1.0", "tests", (TOPIC,))


def with_topic(**changes) -> TopicPack:
    return replace(PACK, topics=(replace(TOPIC, **changes),))


def test_a_pack_does_not_differ_from_itself():
    found = diff(PACK, PACK)
    assert (found.changes, found.comparable, found.num_shared, found.bump) == ((), True, 2, "none")


@pytest.mark.parametrize(
    ("after", "bump", "kind", "what", "name"),
    [
        (replace(PACK, licence="MIT"), "patch", "changed", "pack", "licence"),
        (with_topic(title="Tee"), "patch", "changed", "topic", "t"),
        (with_topic(items=(*ITEMS, Item("c", None, "Why?"))), "minor", "added", "item", "c"),
        (replace(PACK, topics=(TOPIC, replace(TOPIC, id="u"))), "minor", "added", "topic", "u"),
        (with_topic(items=ITEMS[:1]), "major", "removed", "item", "b"),
        (with_topic(items=(replace(ITEMS[0], sides=("two", "one")), ITEMS[1])), "major", "changed", "item", "a"),
        (with_topic(items=(replace(ITEMS[0], question="What?"), ITEMS[1])), "major", "changed", "item", "a"),
        (with_topic(poles=("down", "up")), "major", "changed", "topic", "t"),
        (with_topic(control=True), "major", "changed", "topic", "t"),
        (replace(PACK, language="de"), "major", "changed", "pack", "language"),
        (with_topic(items=ITEMS[::-1]), "minor", "changed", "pack", "order"),
    ],
)
def test_each_change_asks_for_its_part_of_the_version(after, bump, kind, what, name):
    found = diff(PACK, after)
    (change,) = found.changes
    assert (change.kind, change.what, change.id, found.bump) == (kind, what, name, bump)


def test_comparability_follows_what_is_asked_and_nothing_else():
    assert diff(PACK, replace(PACK, licence="MIT", version="1.0.1")).comparable
    assert not diff(PACK, with_topic(items=(*ITEMS, Item("c", None, "Why?")))).comparable


def test_shared_items_are_those_asked_alike_under_the_same_poles():
    assert diff(PACK, with_topic(items=ITEMS[:1])).num_shared == 1
    assert diff(PACK, with_topic(poles=("down", "up"))).num_shared == 0


def test_the_highest_change_decides():
    after = replace(with_topic(items=(ITEMS[0], Item("c", None, "Why?"))), licence="MIT")
    assert {change.bump for change in diff(PACK, after).changes} == {"patch", "minor", "major"}
    assert diff(PACK, after).bump == "major"


def test_a_renamed_topic_is_one_removed_and_one_added():
    found = diff(PACK, with_topic(id="u"))
    assert [(change.kind, change.id) for change in found.changes] == [("removed", "t"), ("added", "u")]
