from driftwatch.drift.abstained import Abstained, Uneven, uneven


def test_refusals_of_one_side_are_seen_over_all_looks():
    look = Abstained(100, {"refused": 4, "no_verdict": 1, "unclear": 30}, {"unclear": 2})
    assert uneven([look]) is None  # five of a hundred may be chance
    assert uneven([look] * 10) == Uneven(0.05, 0.0)


def test_what_replies_themselves_leave_unclear_is_no_selection_by_the_reader():
    assert uneven([Abstained(1000, {"unclear": 300, "tie": 50, "unanswered": 30})]) is None


def test_few_or_equally_many_refusals_are_no_news():
    assert uneven([]) is None
    assert uneven([Abstained(0)]) is None
    assert uneven([Abstained(100_000, {"refused": 500})]) is None  # under one in a hundred
    assert uneven([Abstained(1000, {"refused": 100}, {"refused": 90})]) is None


def test_both_signs_are_told():
    assert uneven([Abstained(1000, {}, {"refused": 100})]) == Uneven(0.0, 0.1)
