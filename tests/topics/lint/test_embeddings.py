"""The sentence encoder that finds near duplicates."""

import pytest

from driftwatch.errors import ConfigError
from driftwatch.topics.lint.embeddings import INSTALL_HINT, Encoder, installed_folder

needs_encoder = pytest.mark.skipif(installed_folder() is None, reason=f"needs a sentence encoder: {INSTALL_HINT}")


@pytest.fixture(scope="module")
def encoder():
    found = Encoder.installed()
    assert found is not None
    return found


PARAPHRASES = [
    ("Sixteen-year-olds should have the right to vote.", "People ought to be able to vote once they are sixteen."),
    ("Rents in big cities should be capped by law.", "There should be a legal cap on rents in large cities."),
    ("The death penalty deters murderers.", "Murderers are deterred by capital punishment."),
    ("Shops should stay closed on Sundays.", "On Sundays, stores ought to remain shut."),
]


@needs_encoder
def test_paraphrases_are_far_closer_than_claims_about_different_matters(encoder):
    texts = [text for pair in PARAPHRASES for text in pair]
    rows = encoder.embed(texts)
    similarity = rows @ rows.T
    for n in range(0, len(texts), 2):
        others = [float(similarity[n, m]) for m in range(len(texts)) if m not in (n, n + 1)]
        assert float(similarity[n, n + 1]) > 0.7 > max(others)


@needs_encoder
def test_the_embedding_of_a_text_does_not_depend_on_its_company(encoder):
    """Padding to the longest text of a batch must not leak into the mean."""
    alone = encoder.embed(["Rents should be capped."])
    company = encoder.embed(["Rents should be capped.", "A much longer sentence " * 12])
    assert float((alone[0] - company[0]).abs().max()) < 1e-4
    assert float(alone[0].norm()) == pytest.approx(1.0, abs=1e-5)


@needs_encoder
def test_near_pairs_are_those_at_or_above_the_threshold(encoder):
    texts = ["Shops should stay closed on Sundays.", "Cats are quiet.", "Shops should stay closed on Sundays!"]
    ((i, j, similarity),) = encoder.near_pairs(texts, 0.9)
    assert (i, j) == (0, 2)
    assert similarity > 0.9
    assert encoder.near_pairs(texts[:1], 0.0) == []


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a sentence encoder that transformers can load"):
        Encoder(tmp_path)


def test_without_the_package_there_is_no_encoder():
    missing = (("not_installed_anywhere", "model"),)
    assert installed_folder(missing) is None
    assert Encoder.installed(missing) is None
