import threading

import pytest

from driftwatch.errors import ConfigError, JudgeError
from driftwatch.judges.judge import Asked, Judgement, Vote
from driftwatch.judges.judging import NEUTRAL, OPPOSE, SUPPORT
from driftwatch.judges.panel import Panel, disagreement, majority
from driftwatch.stance import Probs
from driftwatch.topics.topic import Item

ASKED = Asked(
    "drinks", ("tea", "coffee"), Item("tea", ("I prefer tea", "I prefer coffee")), "two_sided", 0, "?", "Tea."
)
YES, NO, MID = Judgement(probs=SUPPORT), Judgement(probs=OPPOSE), Judgement(probs=NEUTRAL)
REFUSED, UNREAD = Judgement(refusal=True), Judgement(unread="unclear")


class Saying:
    def __init__(self, name, *readings):
        self.id = name
        self.readings = list(readings)

    def read(self, asked):
        if not self.readings:
            raise JudgeError(f"{self.id} is gone")
        return self.readings


def test_the_majority_counts_and_abstentions_have_no_vote():
    panel = Panel([Saying("a", YES, YES, UNREAD), Saying("b", YES, NO, NO), Saying("c", NO, UNREAD, UNREAD)])
    assert [r.probs for r in panel.read([ASKED] * 3)] == [SUPPORT, None, OPPOSE]


def test_disagreement_is_the_share_of_replies_that_are_read_otherwise():
    panel = Panel([Saying("a", YES, YES, YES, UNREAD), Saying("b", YES, NO, UNREAD, UNREAD)])
    found = disagreement(panel.read([ASKED] * 4))
    assert found.ratio == 0.5  # of the two replies that both read
    assert found.num_replies == 2
    # They agree on the first and the last; chance alone gives 3/4 · 1/4 for support and 1/4 · 1/2 for unread.
    assert found.kappa == {"a/b": pytest.approx((1 / 2 - 5 / 16) / (1 - 5 / 16))}


def test_disagreement_belongs_to_the_readings_and_not_to_the_latest_call():
    """A remote panel reads one look while another one is recorded."""
    panel = Panel([Saying("a", YES), Saying("b", NO)])
    first = panel.read([ASKED])
    panel._judges[1].readings = [YES]
    later = []
    thread = threading.Thread(target=lambda: later.extend(panel.read([ASKED])))
    thread.start()
    thread.join()
    assert (disagreement(first).ratio, disagreement(later).ratio, disagreement([*first, *later]).ratio) == (1, 0, 0.5)


def test_replies_that_no_panel_read_have_no_disagreement():
    assert disagreement([YES, NO, UNREAD]) is None
    assert disagreement([]) is None


def test_where_no_two_judges_read_a_reply_there_is_no_share():
    found = disagreement(Panel([Saying("a", YES), Saying("b", UNREAD)]).read([ASKED]))
    assert (found.ratio, found.num_replies) == (None, 0)


def test_judges_have_short_names_of_their_own():
    """Ids name weights and prompts, which no label should."""
    judges = [Saying(name, YES) for name in ("nli:org/a-model:0f3a:91", "nli:other:77:91", f"{'x' * 40}:1")]
    (reading,) = Panel(judges).read([ASKED])
    assert [vote.judge for vote in reading.votes] == ["nli", "nli-2", "x" * 24]
    assert reading.votes[0] == Vote("nli", YES)


def test_without_a_majority_a_reply_is_unread_and_says_between_what():
    assert majority([YES, NO]).unread == "the judges disagree: oppose, support"
    assert majority([YES, NO, REFUSED]).unread == "the judges disagree: oppose, refusal, support"


def test_probabilities_are_the_mean_over_the_majority():
    votes = [Judgement(probs=Probs(0.8, 0.2, 0)), Judgement(probs=Probs(0.6, 0.2, 0.2)), NO]
    assert majority(votes).probs == pytest.approx((0.7, 0.2, 0.1))


def test_refusals_win_as_refusals():
    assert majority([REFUSED, REFUSED, MID]).refusal


def test_a_reply_that_nobody_reads_stays_unread():
    assert majority([UNREAD, UNREAD]).unread == "unclear"


def test_a_reply_that_a_judge_refuses_to_read_is_counted_as_such():
    """Else replies that a content filter keeps from all judges would look as if nothing could be read in them."""
    unclear, refused = Judgement(unread="no idea"), Judgement(unread="filtered", unread_kind="refused")
    assert majority([unclear, refused]) == refused
    assert majority([refused, YES]).unread is None
    assert majority([Judgement(unread="late", unread_kind="unanswered")] * 2).unread_kind == "unanswered"


def test_it_goes_on_without_a_judge_that_fails_and_says_so(caplog):
    panel = Panel([Saying("a", YES), Saying("b", YES), Saying("c")])
    readings = panel.read([ASKED])
    assert readings[0].probs == SUPPORT
    assert disagreement(readings).absent == {"c": "c is gone"}
    assert set(disagreement(readings).kappa) == {"a/b"} | {"a/c", "b/c"}
    assert disagreement(readings).kappa["a/c"] is None
    assert "the panel reads without c" in caplog.text


def test_one_judge_is_no_panel():
    with pytest.raises(JudgeError, match="1 of 2 judges are left: b is gone"):
        Panel([Saying("a", YES), Saying("b")]).read([ASKED])
    with pytest.raises(ConfigError, match="two or more different judges; found a"):
        Panel([Saying("a", YES)])
    with pytest.raises(ConfigError, match="two or more different judges; found a, a"):
        Panel([Saying("a", YES), Saying("a", YES)])


def test_its_identity_changes_with_any_judge():
    assert Panel([Saying("a"), Saying("b")]).id == "panel(a, b)"
