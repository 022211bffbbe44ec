import doctest
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.documents import node
from driftwatch.topics import table
from driftwatch.topics.lint import balance, words
from driftwatch.topics.lint.words import content_words, overlap, own_words, skeleton


@pytest.mark.parametrize("module", [balance, node, table, words])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("tax", "taxes"),
        ("city", "cities"),
        ("raise", "raised"),
        ("raise", "raising"),
        ("mother", "mother's"),
        ("DNA", "dna"),
    ],
)
def test_inflections_of_a_word_count_as_one(first, second):
    assert content_words(first) & content_words(second)


@pytest.mark.parametrize(("first", "second"), [("press", "pressure"), ("glass", "glance"), ("state", "station")])
def test_different_words_stay_apart(first, second):
    assert not content_words(first) & content_words(second)


def test_own_words_are_what_the_other_side_lacks():
    assert own_words(("Rich people pay taxes.", "Poor people pay a tax.")) == ({"rich"}, {"poor"})


SENTENCES = st.text("abcdef the not of, .", max_size=40)


@given(SENTENCES, SENTENCES)
def test_overlap_is_symmetric_and_bounded(first, second):
    a, b = content_words(first), content_words(second)
    assert overlap(a, b) == overlap(b, a)
    assert 0 <= overlap(a, b) <= 1
    assert not a or overlap(a, a) == 1


@given(SENTENCES)
def test_a_skeleton_never_has_two_stars_in_a_row(text):
    marks = skeleton(text)
    assert all(pair != ("*", "*") for pair in pairwise(marks))
