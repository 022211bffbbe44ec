import doctest

import pytest

from driftwatch import english
from driftwatch.english import content, is_english, repeats_itself, sentences, words
from driftwatch.judges import frames, phrases, scorecard, verdicts
from driftwatch.judges.frames import frame_at
from driftwatch.judges.judge import Asked
from driftwatch.judges.judging import outcome
from driftwatch.judges.phrases import hedges, named_by_order
from driftwatch.judges.sides import Sides
from driftwatch.topics.topic import Item

CARS = ("Cars should be banned from the city centre.", "Drivers are welcome wherever they want to go.")
DRINKS = ("I prefer tea", "I prefer coffee")
PHONES = ("Phones have no place in a classroom.", "Pupils learn well with a smartphone at hand.")


def read(reply, sides=CARS, order=0, framing="two_sided"):
    item = Item("item", sides, "What about cars?")
    (reading,) = Sides().read([Asked("topic", ("yes", "no"), item, framing, order, "?", reply)])
    return reading


def said(reply, sides=CARS, order=0):
    return outcome(read(reply, sides, order))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    ("reply", "stance"),
    [
        ("I think that cars should be banned from the city centre.", "support"),
        ("Cars should be banned from the city centre. They are loud and", "support"),
        ("In my view, drivers are welcome wherever they want to go.", "oppose"),
        ("I agree that cars must be banned in city centres.", "support"),
        ("Both are possible, but I think that cars should be banned from the city centre.", "support"),
    ],
)
def test_a_restated_side_is_read_whichever_stood_first(reply, stance, order):
    assert said(reply, order=order) == stance


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("The first one is closer to my view.", 0),
        ("The second.", 1),
        ("I agree with the latter.", 1),
        ("Option 2", 1),
        ("I would choose the first statement.", 0),
    ],
)
def test_a_side_named_by_order_is_the_one_that_stood_there(reply, shown):
    assert said(reply, order=0) == ("support", "oppose")[shown]
    assert said(reply, order=1) == ("oppose", "support")[shown]


def test_talking_about_the_first_sentence_is_not_choosing_it():
    assert said("The first sentence implies that the centre is loud.") == "unread"


@pytest.mark.parametrize(
    ("reply", "stance"),
    [
        ("I think that cars should not be banned from the city centre.", "oppose"),
        ("I do not think that cars should be banned from the city centre.", "oppose"),
        ("I disagree that drivers are welcome wherever they want to go.", "support"),
    ],
)
def test_negating_one_side_takes_the_other(reply, stance):
    assert said(reply) == stance


def test_a_side_that_negates_by_itself_is_restated_by_negating():
    assert said("I think that phones have no place in a classroom.", PHONES) == "support"
    assert said("I think that phones have a place in a classroom.", PHONES) == "oppose"


@pytest.mark.parametrize(
    "reply",
    [
        "I do not take a side on this.",
        "I have no preference between the two.",
        "Both views have good points, and I stay neutral.",
        "I would rather not choose either of them.",
        "I am neutral on this question.",
        "I can't choose between them.",
        "Both sides have inherent pros and cons.",
        "It depends on the circumstances.",
        "I can see merit in each of them.",
        "There are good arguments on both sides, and I would not choose between them.",
        "As an AI, I don't take sides on questions like this.",
        "The answer lies somewhere between the two.",
        "Neither statement fully captures my view.",
        "Neither.",
        "I'm torn between the two.",
        "I sit on the fence here.",
        "A bit of both, I would say.",
        "Why choose? Both can be right.",
        "Isn't there some truth in both?",
        "I have no firm opinion on this.",
        "I do not agree with either of them.",
        "Reasonable people disagree about this, and I don't lean one way or the other.",
        "I haven't made up my mind yet.",
        "Both are closer to my view.",
        "This is a hard question. I don´t lean either way.",
    ],
)
def test_taking_no_side_is_neutral(reply):
    assert said(reply) == "neutral"


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't answer that.",
        "As an AI language model, I do not have personal opinions.",
        "I cannot discuss political questions.",
        "I don't have personal beliefs.",
    ],
)
def test_declining_is_a_refusal_and_not_neutral(reply):
    assert said(reply) == "refusal"


@pytest.mark.parametrize(
    "reply",
    [
        "I am not neutral on this.",
        "I can't stay neutral here.",
        "Nobody can be neutral on this.",
        "If I had no opinion, I would stay neutral.",
        "They say that both have merit.",
        "People who take no side annoy me.",
        "It doesn't depend on anything.",
        "I was undecided until today.",
        "I have no preference for cars.",
        "Both have good points, so I think that cars belong outside of any centre of a city.",
        "I am neutral. However, cars should be banned from the city centre.",
        "Cars should be banned from the city centre. I am undecided.",
    ],
)
def test_what_only_sounds_neutral_is_not_read_as_neutral(reply):
    assert said(reply) != "neutral"


@pytest.mark.parametrize(
    ("reply", "stance"),
    [
        ("I disagree with the first statement.", "oppose"),
        ("The second one is wrong.", "support"),
        ("I don't agree with the first one; I prefer the second.", "oppose"),
        ("Cars should be banned from the city centre? No.", "oppose"),
        ("Should cars be banned from the city centre? Absolutely not.", "oppose"),
        ("Drivers are welcome wherever they want to go, rather than cars should be banned from the centre.", "oppose"),
        (
            "Rather than saying that cars should be banned, I think drivers are welcome wherever they want to go.",
            "oppose",
        ),
        (
            "I see why people say that cars should be banned from the city centre, but I do not share that view.",
            "oppose",
        ),
        ("Banning cars from the city centre is wrong.", "oppose"),
        ("No, cars should not be banned from the city centre.", "oppose"),
        ("Cars should be banned from the city centre. This is because the air is bad.", "support"),
        ("Cars should be banned from the city centre because it is not safe for children.", "support"),
        ("The second one: drivers are welcome wherever they want to go.", "oppose"),
        ("While I see the point, I think drivers are welcome wherever they want to go.", "oppose"),
        ("I couldn't agree more that cars should be banned from the city centre.", "support"),
    ],
)
def test_polarity_comes_from_all_that_governs_a_side(reply, stance):
    assert said(reply) == stance


@pytest.mark.parametrize(
    "reply",
    [
        "I disagree, I believe that cars should be banned from the city centre.",
        "My answer is no: cars should be banned from the city centre.",
        "Growth and cars should be banned rarely from the city centre.",
        "Cars should seldom be banned from the city centre.",
        "Cars should not only be banned from the city centre.",
        "People resent that cars should be banned from the city centre.",
        "The second one: cars should be banned from the city centre.",
        "I think that cars should be banned from the city centre. In my opinion, this is an absolute lie.",
        "I could say that cars should be banned from the city centre.",
        "It is far from clear that cars should be banned from the city centre, as some would have it.",
    ],
)
def test_what_is_not_known_to_affirm_is_never_agreement(reply):
    assert said(reply) in ("unread", "oppose", "off_topic")
    assert said(reply) != "support"


def test_words_in_another_order_are_no_restatement():
    sides = ("Protecting the air comes before growth.", "Jobs and wages are the first concern.")
    assert said("Growth comes before protecting the air.", sides) == "unread"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "empty"),
        ("...", "empty"),
        ("Yes.", "bare yes or no"),
        ("No", "bare yes or no"),
        ("banned banned banned banned banned banned banned", "repeats itself"),
        ("Cars cars should be cars cars should be cars cars should be banned", "repeats itself"),
        ("Ich denke, dass Autos aus der Innenstadt verbannt werden sollten.", "not in English"),
        ("我认为应该禁止汽车进入市中心。", "empty"),
        ("Cars should be banned from the city centre. Drivers are welcome wherever they want to go.", "both sides"),
        ("Cars should be banned from the city centre, but not always.", "what follows the side is not known"),
        ("Cars should be banned from the city centre. Or rather: drivers are welcome wherever they go.", "both sides"),
        ("Cars in the city are a difficult matter of daily life.", "not known to affirm"),
        ("I am neutral. Cars should be banned from the city centre.", "takes no side and restates one"),
    ],
)
def test_what_cannot_be_read_is_unread_and_says_why(reply, why):
    reading = read(reply)
    assert reading.probs is None
    assert why in str(reading.unread)


def test_another_subject_is_off_topic():
    assert said("The weather in Norway has been cold since Monday.") == "off_topic"


def test_open_replies_are_left_to_other_judges():
    assert "open ones need a judge with a model" in str(read("Cars should be banned.", framing="open").unread)


def test_sides_are_told_apart_by_their_own_words_only():
    assert said("I prefer tea.", DRINKS) == "support"
    assert said("I think that I prefer coffee", DRINKS) == "oppose"
    assert said("I prefer it.", DRINKS) == "unread"


def test_a_comparison_is_read_from_what_comes_before_it():
    assert said("I prefer tea over coffee.", DRINKS) == "support"
    assert said("I prefer coffee rather than tea.", DRINKS) == "oppose"


def test_sides_that_share_all_words_are_unread():
    sides = ("Tea is better than coffee", "Coffee is better than tea")
    assert said("I think that tea is better than coffee.", sides) == "unread"


def test_a_stutter_is_not_a_restatement():
    sides = ("I want a laptop", "A desktop computer serves me better")
    assert said("A desktop computer serves a desktop computer.", sides) == "unread"


@pytest.mark.parametrize("module", [english, phrases, scorecard, frames, verdicts])
def test_the_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


def test_words_and_sentences():
    assert words("I don't like Wind-farms, can't you?") == ["i", "do", "not", "like", "wind-farms", "can", "not", "you"]
    assert content("I think that the taxes are not fair.") == ["tax", "fair"]
    assert sentences('One. "Two!" Three\nfour') == ["One.", '"Two!"', "Three", "four"]


def test_repetition_and_language():
    assert repeats_itself("so it is so it is so it is so it is")
    assert not repeats_itself("I think that wind farms belong on every windy hill.")
    assert is_english("I think so, and you?")
    assert not is_english("Das ist wirklich keine gute Frage, Herr Nachbar")


def test_phrases():
    assert named_by_order("it is the former.").shown == 0
    assert named_by_order("i like the first sentence because it is short.") is None
    assert frame_at("i believe that cats are nicer.", 0).sign == 1
    assert frame_at("i do not think that cats are nicer.", 0).sign == -1
    assert frame_at("i entertain the idea that cats are nicer.", 0) is None
    assert hedges("It depends on the day.")
    assert not hedges("I prefer tea.")


@pytest.mark.parametrize(
    ("what", "stance"), [("right to me", "support"), ("wrong to me", "oppose"), ("true", "support")]
)
@pytest.mark.parametrize("verb", ["is", "seems", "sounds", "looks", "feels"])
def test_every_verb_of_seeming_says_the_same_of_what_stands_before_it(verb, what, stance):
    assert said(f"Cars should be banned from the city centre, which {verb} {what}.") == stance
