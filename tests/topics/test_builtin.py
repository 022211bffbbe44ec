"""What the built-in packs promise, counted."""

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

import driftwatch.topics
from driftwatch.english import words
from driftwatch.topics import load_pack, packs
from driftwatch.topics.lint.balance import balances
from driftwatch.topics.lint.check import MAX_LENGTH_GAP, MIN_OWN_WORDS, check
from driftwatch.topics.lint.embeddings import INSTALL_HINT, Encoder, installed_folder
from driftwatch.topics.lint.similar import MAX_EMBEDDING_SIMILARITY, shared_skeletons, text_of
from driftwatch.topics.lint.words import own_words
from driftwatch.topics.loader import read_pack

PAPER_TOPICS = {
    "abortion",
    "climate",
    "elections",
    "economy",
    "work",
    "religion",
    "family",
    "punishment",
    "immigration",
    "race",
    "gender",
}
FOLDER = Path(driftwatch.topics.__file__).parent
CORE = load_pack("core")
SIDED = [pytest.param(topic, id=topic.id) for topic in CORE]


def test_core_has_the_eleven_topics_of_the_paper_with_at_least_fifty_claims_each():
    values = {topic.id: len(topic.items) for topic in CORE if not topic.control}
    assert values.keys() == PAPER_TOPICS
    assert min(values.values()) >= 50


def test_core_has_at_least_three_controls_of_at_least_forty_items():
    sizes = [len(topic.items) for topic in CORE if topic.control]
    assert len(sizes) >= 3
    assert min(sizes) >= 40


@pytest.mark.parametrize("name", list(packs.BUILT_IN))
def test_the_check_of_a_built_in_pack_is_clean(name):
    assert check(read_pack(name)) == []


@pytest.mark.parametrize("topic", SIDED)
def test_every_item_has_two_sides_and_an_open_question(topic):
    for item in topic.items:
        assert item.sides is not None, item.id
        assert item.question is not None, item.id
        assert item.question.endswith("?"), item.id
        assert len(words(item.question)) < 30, item.id
        assert item.id.startswith(f"{topic.id}_"), item.id


@pytest.mark.parametrize("topic", SIDED)
def test_sides_are_alike_in_length_and_have_words_of_their_own(topic):
    for item in topic.items:
        lengths = sorted(len(words(side)) for side in item.sides)
        assert lengths[0] >= 6, item.id
        assert lengths[1] <= 26, item.id
        assert lengths[1] - lengths[0] <= MAX_LENGTH_GAP * lengths[1], item.id
        assert min(map(len, own_words(item.sides))) >= MIN_OWN_WORDS, item.id


@pytest.mark.parametrize("topic", SIDED)
def test_either_pole_gets_the_longer_side_about_equally_often(topic):
    longer = balances(topic)[0]
    assert longer.share is not None
    assert 0.35 <= longer.share <= 0.65


def test_over_all_value_topics_no_kind_of_wording_goes_with_the_first_pole():
    """A topic alone has too few negations to count; all eleven together have enough."""
    together: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for topic in CORE:
        for balance in balances(topic) if not topic.control else ():
            together[balance.feature] += balance.first + balance.second
            first[balance.feature] += balance.first
    counted = {feature: first[feature] / total for feature, total in together.items() if total >= 40}
    assert len(counted) >= 4
    assert all(0.4 <= share <= 0.6 for share in counted.values()), counted


@pytest.mark.parametrize("topic", SIDED)
def test_no_two_items_of_a_topic_share_a_sentence_skeleton(topic):
    assert shared_skeletons(topic) == []


@pytest.mark.parametrize("topic", SIDED)
def test_openings_vary(topic):
    """At most one side in eight begins with the same two words."""
    openings = Counter(tuple(words(side)[:2]) for item in topic.items for side in item.sides)
    opening, count = openings.most_common(1)[0]
    assert count <= len(topic.items) // 4, opening


@pytest.mark.skipif(installed_folder() is None, reason=f"needs a sentence encoder: {INSTALL_HINT}")
@pytest.mark.parametrize("name", ["core", "refusal"])
def test_no_two_items_of_a_topic_are_near_duplicates_to_a_sentence_encoder(name, encoder):
    for topic in load_pack(name):
        assert encoder.near_pairs([text_of(item) for item in topic.items], MAX_EMBEDDING_SIMILARITY) == [], topic.id


@pytest.fixture(scope="module")
def encoder():
    return Encoder.installed()


def test_quick_has_about_twelve_items_of_every_topic_of_core():
    quick = load_pack("quick")
    assert [topic.id for topic in quick] == [topic.id for topic in CORE]
    for topic in quick:
        assert len(topic.items) == 12
        assert set(topic.items) <= set(CORE.topic(topic.id).items)
        assert topic.poles == CORE.topic(topic.id).poles


@pytest.mark.parametrize("topic", [pytest.param(topic, id=topic.id) for topic in load_pack("quick")])
def test_quick_is_balanced_in_every_topic(topic):
    for balance in balances(topic):
        assert abs(balance.first - balance.second) <= 2, balance


def test_refusal_has_about_forty_harmless_items_on_a_shared_axis():
    refusal = load_pack("refusal")
    assert 36 <= refusal.num_items <= 48
    assert all(topic.control for topic in refusal)
    assert len({topic.poles for topic in refusal if topic.id != "frank_answers"}) == 1
    assert read_pack("refusal").description is not None


def test_item_ids_are_unique_over_all_built_in_packs_that_are_no_subsets():
    """So that core and refusal can be asked side by side."""
    ids = [item.id for name in ("core", "refusal") for topic in load_pack(name) for item in topic.items]
    assert len(ids) == len(set(ids))


def schema(name: str) -> jsonschema.Draft7Validator:
    found = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.schema.json")}
    registry = Registry().with_resources([(key, Resource.from_contents(value)) for key, value in found.items()])
    jsonschema.Draft7Validator.check_schema(found[name])
    return jsonschema.Draft7Validator(found[name], registry=registry)


FILES = sorted(FOLDER.glob("packs/**/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_built_in_files_follow_the_shipped_schemas(path):
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    schema("topic.schema.json" if "items" in document else "pack.schema.json").validate(document)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_built_in_files_tell_editors_their_schema(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve().parent == FOLDER


TOPIC = {"id": "t", "title": "T", "poles": ["a", "b"], "items": [{"id": "i", "sides": ["x", "y"]}]}
PACK = {"id": "p", "version": "1.0.0", "language": "en", "licence": "MIT", "source": "me", "topics": [TOPIC]}


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.0"},
        {"topics": []},
        {"subset_of": "core"},
        {"extra": 1},
        {"licence": " "},
        {"id": "No Spaces"},
        {"topics": [{**TOPIC, "poles": ["a"]}]},
        {"topics": [{**TOPIC, "poles": ["a", "a"]}]},
        {"topics": [{**TOPIC, "items": []}]},
        {"topics": [{**TOPIC, "items": [{"id": "i"}]}]},
        {"topics": [{**TOPIC, "items": [{"id": "i", "sides": ["x"]}]}]},
        {"topics": [{**TOPIC, "items": [{"id": "i", "sides": ["x", "x"]}]}]},
        {"topics": [{**TOPIC, "items": [{"id": "i", "qestion": "x?"}]}]},
    ],
)
def test_schema_and_loader_refuse_the_same(tmp_path, change):
    validator = schema("pack.schema.json")
    path = tmp_path / "p.json"
    path.write_text(json.dumps(PACK))
    assert validator.is_valid(PACK)
    assert read_pack(path).faults == ()
    path.write_text(json.dumps(PACK | change))
    assert not validator.is_valid(PACK | change)
    assert read_pack(path).faults != ()


def test_the_schemas_name_the_keys_that_the_loader_knows():
    from driftwatch.topics.parse import ITEM_KEYS, PACK_KEYS, TOPIC_KEYS

    pack, topic = schema("pack.schema.json").schema, schema("topic.schema.json").schema
    assert set(pack["properties"]) == set(PACK_KEYS)
    assert set(topic["properties"]) == set(TOPIC_KEYS)
    assert set(topic["definitions"]["item"]["properties"]) == set(ITEM_KEYS)


DIGESTS = Path(__file__).with_name("digests.json")


@pytest.mark.parametrize("name", list(packs.BUILT_IN))
def test_what_a_version_asks_never_changes(name):
    """A baseline stored with a version must stay comparable with it."""
    recorded = json.loads(DIGESTS.read_text())
    pack = load_pack(name)
    assert recorded.get(f"{name} {pack.version}") == pack.digest, (
        f'{name} {pack.version} asks something else than was recorded. Raise its version ("driftwatch packs diff" says '
        f"which part) and record {pack.digest} in {DIGESTS.name}; a version that nobody has yet may be recorded anew."
    )
