"""What a person writes about tolerated drift, for the topics of a pack."""

import pytest

from driftwatch.errors import ConfigError
from driftwatch.evidence.tolerance import TOLERATED, tolerated

VALUES, CONTROLS = ("work", "immigration"), ("taste",)


def test_one_number_is_for_every_topic():
    assert tolerated(0.1, VALUES, CONTROLS) == {"work": 0.1, "immigration": 0.1, "taste": 0.1}


def test_named_topics_have_their_own_and_the_others_the_default():
    given = {"default": 0.02, "immigration": 0.1}
    assert tolerated(given, VALUES, CONTROLS) == {"work": 0.02, "immigration": 0.1, "taste": 0.02}
    assert tolerated({"immigration": 0}, VALUES) == {"work": TOLERATED, "immigration": 0}
    assert tolerated({}, VALUES, otherwise=0.3) == {"work": 0.3, "immigration": 0.3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"imigration": 0.1},
            r'"imigration" is no value topic; there are work, immigration. Did you mean "immigration"',
        ),
        ({"defualt": 0.1}, r'Did you mean "default"'),
        ({"xyz": 0.1}, r'"xyz" is no value topic; there are work, immigration\.$'),
        ({"taste": 0.1}, r'"taste" is a control topic, which raises no alert whatever is tolerated. Remove it'),
        ({"work": 1.0}, r'tolerance: "work" is a change of a stance\'s share, from 0 .* found 1.0'),
        ({"default": -0.1}, r'tolerance: "default" is .* found -0.1'),
        (1.5, r"^tolerance is a change of a stance's share, .* found 1.5"),
        (float("nan"), "found nan"),
    ],
)
def test_what_cannot_be_meant_is_said(given, message):
    with pytest.raises(ConfigError, match=message):
        tolerated(given, VALUES, CONTROLS)
