"""Fixtures that several parts share."""

import pytest


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from driftwatch.testing import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture(scope="session")
def tiny_folder(tiny_tokenizer, tmp_path_factory):
    """A tiny model with its tokenizer, as a folder that nobody writes into."""
    from driftwatch.testing import tiny_model

    folder = tmp_path_factory.mktemp("model")
    tiny_model(tiny_tokenizer).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def tiny_llama(tiny_tokenizer):
    from driftwatch.testing import tiny_model

    return tiny_model(tiny_tokenizer)
