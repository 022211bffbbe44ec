"""Fixtures that several parts share."""

import pytest


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from driftwatch.testing import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture
def tiny_llama(tiny_tokenizer):
    from driftwatch.testing import tiny_model

    return tiny_model(tiny_tokenizer)
