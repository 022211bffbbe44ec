import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.topics import Item, Topic, TopicPack
from driftwatch.topics.lint.balance import Balance, balances, imbalances, leans, sign_test
from driftwatch.topics.lint.stratify import stratified


@pytest.mark.parametrize(
    ("first", "second", "probability"),
    [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (9, 1, 22 / 1024), (33, 17, 0.032839)],
)
def test_the_sign_test_agrees_with_the_binomial_distribution(first, second, probability):
    assert sign_test(first, second) == pytest.approx(probability, rel=1e-4)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_does_not_care_which_pole_it_is(first, second):
    assert sign_test(first, second) == sign_test(second, first)
    assert 0 < sign_test(first, second) <= 1


def test_leans_compare_the_two_sides_of_an_item():
    sides = ("People may keep bees on any roof they like.", "I would not have bees where children must play, ever.")
    longer, permissive, prescriptive, negation, first_person = leans(sides)
    assert (longer, permissive, prescriptive, negation, first_person) == (-1, 1, -1, -1, -1)
    assert leans((sides[1], sides[0])) == (1, -1, 1, 1, 1)


def make_topic(num_items: int, longer_first: int) -> Topic:
    items = []
    for n in range(num_items):
        long, short = f"Alpha{n} beta{n} gamma{n}.", f"Delta{n} epsilon{n}."
        items.append(Item(f"i{n}", (long, short) if n < longer_first else (short, long), None))
    return Topic("t", "T", ("up", "down"), False, tuple(items))


def test_balances_count_items_and_leave_those_without_sides_out():
    topic = make_topic(6, 4)
    topic = Topic(topic.id, topic.title, topic.poles, False, (*topic.items, Item("q", None, "Why?")))
    longer = balances(topic)[0]
    assert longer == Balance("the longer side", 4, 2)
    assert longer.share == pytest.approx(2 / 3)
    assert balances(topic)[1].share is None


@pytest.mark.parametrize(("longer_first", "flagged"), [(33, True), (32, False), (18, False), (17, True)])
def test_an_imbalance_is_what_a_fair_coin_would_seldom_do(longer_first, flagged):
    assert bool(imbalances(make_topic(50, longer_first))) == flagged


def test_a_subset_takes_one_item_of_each_run_and_evens_the_wording_out():
    topic = make_topic(48, 24)
    pack = TopicPack("p", "1.0.0", "en", "CC0-1.0", "tests", (topic,))
    picked = stratified(pack, 12)["t"]
    assert [int(name[1:]) // 4 for name in picked] == list(range(12))
    subset = Topic("t", "T", topic.poles, False, tuple(i for i in topic.items if i.id in picked))
    assert balances(subset)[0][1:] == (6, 6)


def test_a_subset_finds_the_balanced_choice_inside_the_runs():
    """In every run of two, one item has the longer first side and one has not: only mixing them is even."""
    one, other = make_topic(10, 10).items, make_topic(10, 0).items
    mixed = [Item(f"m{n}", (one[n // 2] if n % 2 else other[n // 2]).sides, None) for n in range(20)]
    pack = TopicPack("p", "1", "en", "x", "y", (Topic("t", "T", ("up", "down"), False, tuple(mixed)),))
    picked = stratified(pack, 10)["t"]
    assert sum(int(name[1:]) % 2 for name in picked) == 5
    assert stratified(pack, 10)["t"] == picked


def test_a_topic_with_fewer_items_keeps_all():
    pack = TopicPack("p", "1.0.0", "en", "CC0-1.0", "tests", (make_topic(5, 2),))
    assert len(stratified(pack, 12)["t"]) == 5
    with pytest.raises(ValueError, match="expected at least 1 item a topic, found 0"):
        stratified(pack, 0)
