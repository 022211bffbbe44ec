"""Fixtures that several parts share."""

import os
import signal

import hypothesis
import pytest

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Torch reads this once a process, at the first matrix product on a GPU; tests that ask for determinism need it then.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# Ignored in what a shell starts in the background, and then in everything that is started from there; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _the_same_draws(monkeypatch):
    """A run that is given no seed derives one from an id of its own; here all ids are equal, so that tests repeat."""
    monkeypatch.setattr("driftwatch.watch.beginning.new_run_id", lambda: "a test's")


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch):
    """What trainings of other tests have left is not told of those that start from the same weights."""
    monkeypatch.setattr("driftwatch.host.last_weights.Weights._left", {})


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
