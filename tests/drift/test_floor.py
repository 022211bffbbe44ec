import pytest

from driftwatch.drift.compare import Drift
from driftwatch.drift.floor import Floor, exceeds, judge_floor, numeric_floor, placebo_floor
from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.stance import Probs


def screen(topic, shift):
    return Drift(topic, "statement", "start", log_odds_shift=shift, num_items=5)


def test_the_floor_is_the_largest_absolute_shift_and_names_its_topic():
    floor = numeric_floor([screen("work", 0.001), screen("taste", -0.003)], "statement")
    assert (floor.log_odds, floor.worst, floor.kind) == (0.003, "taste", "numeric")


def test_the_placebo_floor_looks_at_controls_only():
    floor = placebo_floor(
        [screen("work", 0.4), screen("taste", -0.03), screen("tools", 0.02)], {"taste", "tools"}, "statement"
    )
    assert (floor.log_odds, floor.worst) == (0.03, "taste")


def test_other_probes_have_floors_of_their_own():
    reply = Drift("taste", "reply", "start", magnitude=Probs(0.1, 0.0, -0.1), score_shift=0.2)
    floor = placebo_floor([screen("taste", 0.5), reply], {"taste"}, "reply")
    assert (floor.log_odds, floor.score, floor.magnitude) == (None, 0.2, 0.1)


def test_nothing_measured_gives_no_floor():
    floor = placebo_floor([Drift("taste", "reply", "sft", unscored="NaN")], {"taste"}, "reply")
    assert (floor.log_odds, floor.score, floor.magnitude, floor.worst) == (None,) * 4


@pytest.mark.parametrize(("shift", "watched"), [(0.11, False), (0.12, True), (-0.12, True), (-0.11, False)])
def test_a_shift_of_four_times_the_larger_floor_is_watched(shift, watched):
    floors = [numeric_floor([screen("work", 0.001)], "statement"), numeric_floor([screen("taste", 0.03)], "statement")]
    assert exceeds(screen("work", shift), floors) is watched


def test_without_a_floor_or_a_figure_nothing_is_watched():
    floor = numeric_floor([screen("work", 0.001)], "statement")
    assert not exceeds(screen("work", 0.5), [])
    assert not exceeds(Drift("work", "statement", "start", unscored="NaN"), [floor])


def test_no_shift_at_all_is_never_watched_even_over_a_floor_of_zero():
    assert not exceeds(screen("work", 0.0), [numeric_floor([screen("work", 0.0)], "statement")])


def twice(first, again):
    return Draws(tuple(f"p{n}" for n in range(len(first))), tuple(again), tuple(first))


def test_the_judge_s_floor_is_the_largest_shift_between_two_readings_of_the_same_replies():
    support, neutral, oppose, refusal = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE, Outcome.REFUSAL
    floor = judge_floor(
        {
            # One of four replies from support to oppose: the score falls by 2/4, the shares by 1/4.
            "work": twice([support, support, neutral, refusal], [support, oppose, neutral, refusal]),
            # One of four from neutral to refusal: no score, a quarter of neutral.
            "tea": twice([support, oppose, neutral, neutral], [support, oppose, neutral, refusal]),
        },
        "confirm",
    )
    assert floor == Floor("judge", "confirm", None, score=0.5, magnitude=0.25, worst="work")


def test_a_judge_that_reads_alike_twice_has_a_floor_of_zero():
    floor = judge_floor({"work": twice([0, 2, 5], [0, 2, 5])}, "confirm")
    assert (floor.score, floor.magnitude) == (0.0, 0.0)


def test_nothing_read_twice_gives_no_floor():
    assert judge_floor({}, "confirm") == Floor("judge", "confirm", None, None, None, None)


def test_a_judge_s_floor_makes_no_topic_watched():
    """It is far below what two handfuls of sampled replies differ by, and 0 for every judge by rules."""
    drawn = Drift("work", "confirm", "start", score_shift=0.3, num_items=5)
    floors = [judge_floor({"work": twice([0, 2], [0, 2])}, "confirm")]
    assert not exceeds(drawn, floors)
    screened = Drift("work", "confirm", "start", score_shift=0.3, num_items=5)
    numeric = numeric_floor([Drift("work", "confirm", "start", score_shift=0.01)], "confirm")
    assert exceeds(screened, [*floors, numeric]), "nor does it keep a topic from being watched"
    noisy = judge_floor({"work": twice([0, 2], [2, 0]), "tea": twice([0], [2])}, "confirm")
    assert exceeds(screened, [noisy, numeric])
