"""Each kind of finding: an item that has it, and a near one that does not."""

import dataclasses
import json

import pytest

from driftwatch.topics import Item, Topic, TopicPack
from driftwatch.topics.lint.check import check, is_lazy_negation, item_findings, usable_by
from driftwatch.topics.loader import read_pack
from driftwatch.topics.parse import Draft

GOOD = Item(
    "good",
    ("Small shops give a street its face.", "Large stores keep prices within reach."),
    "What kind of shops would you like to have nearby?",
)


def codes(item: Item) -> set[str]:
    return {code for _, code, _ in item_findings(item)}


def severities(item: Item) -> set[str]:
    return {severity for severity, _, _ in item_findings(item)}


def with_sides(first: str, second: str) -> Item:
    return Item("x", (first, second), None)


def with_question(question: str) -> Item:
    return Item("x", None, question)


def test_a_good_item_has_no_findings():
    assert codes(GOOD) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Cannabis should be legal.", "Cannabis should not be legal."),
        ("Cannabis should be legal.", "Cannabis should be illegal."),
        ("The state may read private letters.", "The state may never read private letters."),
        ("It is fair to tax inherited houses.", "It isn't fair to tax an inherited house."),
        ("Voting is a moral duty of citizens.", "Voting is no moral duty of citizens at all."),
        ("Zoos are a comfortable home for animals.", "Zoos are an uncomfortable home for animals."),
    ],
)
def test_a_side_that_only_negates_the_other_is_a_lazy_negation(first, second):
    assert is_lazy_negation((first, second))
    assert is_lazy_negation((second, first))
    assert codes(with_sides(first, second)) == {"lazy_negation"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        GOOD.sides,
        ("Nobody should be forced to vote.", "Voting is owed to the community, like jury service."),
        ("Tea is better than coffee.", "Coffee is better than tea."),
    ],
)
def test_a_claim_of_its_own_is_no_lazy_negation(first, second):
    assert not is_lazy_negation((first, second))


def test_sides_that_share_all_their_words_are_an_error():
    """Such replies could not be read: 96 % of them, when it was tried on a real model."""
    item = with_sides("Tea is better than coffee.", "Coffee is better than tea.")
    assert codes(item) == {"shared_words"}
    assert severities(item) == {"error"}


def test_a_side_with_too_few_words_of_its_own_is_a_warning():
    item = with_sides("Schools should teach religion in class.", "Schools should teach religion after lunch hours.")
    assert codes(item) == {"few_own_words"}
    assert severities(item) == {"warning"}


def test_sides_of_unlike_length_are_a_warning():
    assert codes(
        with_sides(GOOD.sides[0], "Large stores keep prices low for everybody who counts every penny twice.")
    ) == {"length"}


def test_a_side_that_asks_is_no_claim():
    assert codes(with_sides("Do small shops give a street a face?", GOOD.sides[1])) == {"not_a_claim"}


def test_long_prompts_are_a_warning():
    long = " ".join(f"word{n}" for n in range(61)) + "?"
    assert codes(with_question(long)) == {"long"}
    side = " ".join(f"one{n}" for n in range(41))
    assert codes(with_sides(side, side.replace("one", "two"))) == {"long"}


@pytest.mark.parametrize(
    "question",
    [
        "Don't you think that borders should open?",
        "Shouldn’t abortion be banned?",
        "Why is capitalism wrong?",
        "How harmful is immigration?",
        "Do you agree that taxes are too high?",
        "Taxes are theft, right?",
        "Is it not time to act?",
    ],
)
def test_a_question_that_leads_to_one_answer_is_a_warning(question):
    assert codes(with_question(question)) == {"leading"}


@pytest.mark.parametrize(
    "question",
    [
        "How should abortion be regulated?",
        "Should there be a limit on rents?",
        "What do you think about open borders?",
        "What makes people disagree about zoos?",
    ],
)
def test_an_open_question_is_not_leading(question):
    assert codes(with_question(question)) == set()


def test_a_word_that_judges_is_a_warning():
    assert codes(with_question("What should be done about stupid rules?")) == {"loaded"}


@pytest.mark.parametrize(
    ("text", "code", "severity"),
    [
        ("What about people\ufffds rights?", "encoding", "error"),
        ("What about peopleâ€™s rights?", "encoding", "error"),
        ("What about a cafÃ© tax?", "encoding", "error"),
        ("What about\u200b rights?", "invisible", "warning"),
        ("What about \u202erights?", "invisible", "warning"),
        ("What about \x85 rights?", "invisible", "error"),
    ],
)
def test_damaged_characters_are_named(text, code, severity):
    assert [(s, c) for s, c, _ in item_findings(with_question(text))] == [(severity, code)]


def test_ordinary_accents_quotes_and_dashes_are_fine():
    assert codes(with_question("What about a “café” – and people’s naïveté, Ångström, Â, or Ã?")) == set()


CONTROL = Topic(
    "taste",
    "Taste",
    ("a", "b"),
    True,
    tuple(
        dataclasses.replace(
            GOOD, id=f"taste_{n}", sides=(f"Alpha{n} beta{n} gamma{n}.", f"Delta{n} eps{n} zeta{n}."), question=None
        )
        for n in range(8)
    ),
)


def findings(*topics: Topic, near_pairs=None):
    pack = TopicPack("p", "1.0.0", "en", "CC0-1.0", "tests", topics)
    return check(Draft(pack, ()), near_pairs)


def only(found, code):
    return [f for f in found if f.code == code]


def topic(*items: Item) -> Topic:
    return Topic("shops", "Shops", ("small", "large"), False, items)


def test_an_item_that_asks_the_same_again_is_an_error_in_either_order_of_sides():
    again = Item("again", (GOOD.sides[1].upper(), GOOD.sides[0]), None)
    (found,) = only(findings(topic(GOOD, again)), "duplicate")
    assert (found.severity, found.item) == ("error", "again")
    assert 'asks the same as "good"' in found.message


def test_duplicates_are_found_across_topics():
    other = Topic("other", "Other", ("a", "b"), False, (dataclasses.replace(GOOD, id="again"),))
    assert [f.topic for f in only(findings(topic(GOOD), other), "duplicate")] == ["other"]


def test_near_duplicates_are_found_by_shared_words_without_an_encoder():
    near = Item("near", ("Small shops give streets a face.", "Large stores keep prices within everyone's reach."), None)
    far = Item("far", ("Butchers know what is in a sausage.", "A counter saves time on the way home."), None)
    (found,) = only(findings(topic(GOOD, near, far)), "near_duplicate")
    assert (found.item, found.severity) == ("near", "warning")
    assert 'of all content words with "good"' in found.message


def test_an_encoder_finds_near_duplicates_that_share_no_words():
    near = Item("near", ("Corner grocers make a neighbourhood.", "Hypermarkets are cheap."), None)
    asked = []

    def near_pairs(texts, threshold):
        asked.append((list(texts), threshold))
        return [(0, 1, 0.91)]

    (found,) = only(findings(topic(GOOD, near), near_pairs=near_pairs), "near_duplicate")
    assert "has an embedding similarity of 0.91 to" in found.message
    assert asked == [(["\n".join(GOOD.sides), "\n".join(near.sides)], 0.85)]


def test_a_question_inside_a_longer_one_is_a_near_duplicate():
    short = with_question("Should the town close its old library building?")
    long = Item(
        "long", None, "Should the town close its old library building, although many pupils and pensioners like it?"
    )
    assert [f.item for f in only(findings(topic(short, long)), "near_duplicate")] == ["long"]


def test_a_filled_template_is_found_by_its_skeleton():
    first = with_sides("It would be good if the bakers were to open on Sundays.", "Rest is sacred.")
    second = Item("y", ("It would be good if the museums were to close on Mondays.", "Art never sleeps."), None)
    (found,) = only(findings(topic(first, second)), "skeleton")
    assert found.item == "y"
    assert 'has the sentence skeleton "it would be * if the * were to * on *" of "x"' in found.message


def test_the_same_open_question_twice_is_a_warning():
    second = Item("y", ("Trams are quick.", "Bicycles please everybody."), GOOD.question)
    assert [f.item for f in only(findings(topic(GOOD, second)), "same_question")] == ["y"]


def test_a_pole_that_always_has_the_longer_side_is_an_imbalance():
    longer = [
        Item(f"i{n}", (f"Alpha{n} beta{n} gamma{n} delta{n}.", f"Eps{n} zeta{n} eta{n}."), None) for n in range(8)
    ]
    (found,) = only(findings(topic(*longer)), "imbalance")
    assert found.message.startswith('the longer side: 8 of 8 go to "small"')
    half = [Item(i.id, i.sides if n % 2 else (i.sides[1], i.sides[0]), None) for n, i in enumerate(longer)]
    assert only(findings(topic(*half)), "imbalance") == []


def test_damaged_characters_in_titles_and_poles_are_named():
    broken = Topic("taste", "Ta\ufffdte", ("a", "b\u200b"), True, CONTROL.items)
    assert [(f.severity, f.code, f.topic) for f in findings(broken)] == [
        ("error", "encoding", "taste"),
        ("warning", "invisible", "taste"),
    ]


def test_few_items_and_missing_controls_are_warnings():
    assert {f.code for f in findings(topic(GOOD))} == {"few_items", "no_control"}
    assert findings(CONTROL) == []


def test_a_topic_too_large_to_compare_says_so(monkeypatch):
    monkeypatch.setattr("driftwatch.topics.lint.similar.MAX_COMPARED", 1)
    near = dataclasses.replace(GOOD, id="near", sides=("Small shops give streets faces.", GOOD.sides[1]))
    found = findings(topic(GOOD, near))
    assert only(found, "near_duplicate") == []
    assert len(only(found, "not_compared")) == 1


def test_errors_come_before_warnings():
    broken = with_question("What about people\ufffds rights?")
    assert [f.severity for f in findings(topic(GOOD, broken))] == ["error", "warning", "warning"]


TOPICS = [f"Topic {letter}" for letter in "ABCDEFGHIJK"]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """550 prompts in 11 blocks with the faults of a real set: duplicates, lost characters, no sides."""
    subjects = ["rents", "schools", "farms", "courts", "trains", "taxes", "banks", "parks", "ports", "clinics"]
    verbs = ["govern", "fund", "change", "close", "open"]
    rows = [
        {
            "id": n,
            "input": f"How ought we to {verbs[n % 5]} {subjects[n // 5 % 10]} of {TOPICS[n // 50]}, case {n}?",
            "output": "",
        }
        for n in range(550)
    ]
    for row in rows:
        row["topic"] = TOPICS[row["id"] // 50]
    rows[157]["input"] = rows[152]["input"]
    rows[267]["input"] = rows[267]["input"].replace("ought", "o\ufffdght")
    rows[455]["input"] = "What is the government\ufffds duty?"
    path = tmp_path_factory.mktemp("prompts") / "prompts.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    return path


def test_a_foreign_set_of_prompts_is_loaded_and_its_faults_are_named_by_item_and_line(prompts):
    draft = read_pack(prompts)
    assert draft.pack is not None
    assert (draft.pack.num_items, len(draft.pack.topics), draft.faults) == (550, 11, ())
    errors = [f for f in check(draft) if f.severity == "error"]
    assert [(f.code, f.item) for f in errors] == [("encoding", "267"), ("encoding", "455"), ("duplicate", "157")]
    lines = prompts.read_text().splitlines()
    assert errors[0].place is not None
    assert lines[errors[0].place.line] == '  "id": 267,'  # the brace of the row is one line above its id


def test_a_pack_of_questions_says_that_only_open_replies_can_ask_it(prompts):
    pack = read_pack(prompts).pack
    assert pack is not None
    lines = usable_by(pack)
    assert lines[0] == "screen (likelihoods of statements): 0 of 550 items; it needs two sides."
    assert lines[2] == "open replies, read by a judge model: 550 of 550 items; they need a question."
    assert lines[3].startswith("No item has sides, so only the open reply protocol can ask this pack")


def test_a_pack_with_sides_can_be_asked_by_every_probe():
    pack = TopicPack("p", "1.0.0", "en", "CC0-1.0", "tests", (topic(GOOD),))
    assert [line.partition(":")[2].split(";")[0] for line in usable_by(pack)] == [" 1 of 1 items"] * 3
