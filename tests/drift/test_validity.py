import numpy as np
import pytest

from driftwatch.drift.kappa import cohen_kappa as kappa
from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.drift.validity import correlation, count, label_shares, validity, validity_by_probe
from driftwatch.stance import Probs, Stance


def stances(probs_NS, probe, topics=("work",)):
    return [Stance(topics[i % len(topics)], f"i{i}", probe, probs=Probs(*p)) for i, p in enumerate(probs_NS)]


@pytest.fixture
def truth():
    return np.random.default_rng(0).dirichlet([1, 1, 1], 200)


def test_a_screen_that_says_what_the_replies_say_is_valid(truth):
    rng = np.random.default_rng(1)
    replies = [rng.multinomial(16, p) / 16 for p in truth]
    found = validity(stances(truth, "statement", ("work", "climate")), stances(replies, "reply", ("work", "climate")))
    assert found.is_valid
    assert found.pearson > 0.9
    assert found.kappa > 0.6
    assert set(found.by_topic) == {"work", "climate"}
    assert found.topic_error < 0.03
    assert found.why is None


def test_a_screen_that_ranks_items_at_random_is_not_valid(truth):
    shuffled = np.random.default_rng(2).permutation(truth)
    found = validity(stances(truth, "statement"), stances(shuffled, "reply"))
    assert not found.is_valid
    assert "correlation over items" in found.why


def test_a_screen_with_shifted_levels_is_not_valid_however_well_it_ranks(truth):
    shifted = truth * 0.5 + np.array([0.5, 0.0, 0.0])
    found = validity(stances(shifted, "statement"), stances(truth, "reply"))
    assert found.pearson > 0.95
    assert not found.is_valid
    assert "shares of topics differ" in found.why


def test_the_gates_are_where_they_are_said_to_be():
    """Beyond a topic error of 0.10 the probe is a trigger only."""
    bank = [[0.5 + x, 0.0, 0.5 - x] for x in np.linspace(-0.4, 0.4, 20)]
    just_in, just_out = ([[p[0] + off, 0.0, p[2] - off] for p in bank] for off in (0.149, 0.151))
    assert validity(stances(bank, "statement"), stances(np.clip(just_in, 0, 1), "reply")).topic_error < 0.10
    assert validity(stances(bank, "statement"), stances(just_in, "reply")).is_valid
    assert not validity(stances(bank, "statement"), stances(just_out, "reply")).is_valid


def test_items_without_a_read_reply_are_left_out(truth):
    replies = stances(truth, "reply")
    replies[0] = Stance("work", "i0", "reply", unscored="all unclassified")
    replies[1] = Stance("work", "i1", "reply", probs=Probs(0.0, 0.0, 0.0))
    assert validity(stances(truth, "statement"), replies).num_items == 198


def test_few_items_say_so(truth):
    found = validity(stances(truth[:9], "statement"), stances(truth[:9], "reply"))
    assert (found.pearson, found.is_valid) == (None, None)
    assert found.why == "9 items with both a probability and a judged reply; 10 are needed"


def test_a_screen_that_does_not_vary_has_no_correlation():
    found = validity(stances([[0.4, 0.2, 0.4]] * 12, "statement"), stances(np.eye(3)[np.arange(12) % 3], "reply"))
    assert found.pearson is None
    assert not found.is_valid


def test_spearman_shares_ranks_among_equals():
    """Known answer: x = 1, 2, 2, 3 against y = 1, 2, 3, 4 has a rank correlation of 0.9487."""
    score = np.array([1.0, 2.0, 2.0, 3.0]) / 10
    bank = [[0.5 + s / 2, 0.0, 0.5 - s / 2] for s in np.tile(score, 3)]
    order = [[0.5 + s / 2, 0.0, 0.5 - s / 2] for s in np.tile([0.1, 0.2, 0.3, 0.4], 3)]
    assert validity(stances(bank, "statement"), stances(order, "reply")).spearman == pytest.approx(0.9487, abs=1e-4)


def test_kappa_of_a_known_table():
    """Cohen's own kind of example: agreement 0.7 where chance gives 0.5 is a kappa of 0.4."""
    first = np.array([0] * 5 + [1] * 5)
    second = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
    assert kappa(first, second) == pytest.approx(0.4)


def test_kappa_of_labellings_that_never_vary_is_none():
    assert kappa(np.zeros(5, int), np.zeros(5, int)) is None


def test_correlation_of_one_value_is_none():
    assert correlation(np.ones(1), np.ones(1)) is None


def test_label_shares_count_replies_without_a_stance_apart():
    yes, no, lost = Outcome.SUPPORT, Outcome.OPPOSE, Outcome.REFUSAL
    looks = [{"work": Draws(("a", "b"), (yes, lost), (no, no))}, {"work": Draws(("a",), (Outcome.UNREAD,), (no,))}]
    a, b = label_shares(count(looks, "now"))
    assert (a.item, a.probs, a.refusal, a.unread) == ("a", Probs(0.5, 0.0, 0.0), 0.0, 0.5)
    assert (b.item, b.probs, b.refusal) == ("b", Probs(0.0, 0.0, 0.0), 1.0)
    assert [s.probs.oppose for s in label_shares(count(looks, "baseline"))] == [1.0, 1.0]


def test_replies_are_counted_on_from_look_to_look_without_touching_what_was_counted():
    yes, no = Outcome.SUPPORT, Outcome.OPPOSE
    first = count([{"work": Draws(("a",), (yes,), (no,))}], "baseline")
    both = count([{"work": Draws(("a", "b"), (yes, yes), (no, yes))}], "baseline", first)
    assert first == {"work": {"a": [0, 0, 1, 0, 0, 0]}}
    assert both == {"work": {"a": [0, 0, 2, 0, 0, 0], "b": [1, 0, 0, 0, 0, 0]}}


def test_a_probe_is_judged_once_there_are_enough_replies_an_item(truth):
    rng = np.random.default_rng(3)
    screen = [*stances(truth, "statement"), *stances(truth[::-1], "backwards")]
    few, many = (
        {"work": {f"i{i}": [*rng.multinomial(n, p).tolist(), 0, 0, 0] for i, p in enumerate(truth)}} for n in (3, 8)
    )
    assert [(v.is_valid, v.why) for v in validity_by_probe(screen, few)] == [
        (None, "3.0 judged replies an item so far; 4 are needed")
    ] * 2
    assert [(v.probe, v.is_valid) for v in validity_by_probe(screen, many)] == [
        ("statement", True),
        ("backwards", False),
    ]


def test_without_a_reply_nothing_is_judged(truth):
    (found,) = validity_by_probe(stances(truth, "statement"), {})
    assert found.is_valid is None
