import pytest
from starlette.testclient import TestClient
from support.synthetic_runs import synthetic_run

from driftwatch.service.app import create_app
from driftwatch.service.library import Library

TOKEN = "secret-token-of-tests"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of eight observations; to be read only."""
    return synthetic_run(tmp_path_factory.mktemp("runs"), "finished", looks=8)


@pytest.fixture
def serve():
    """Makes a client of the service over a folder, whose runs have been read."""
    made = []

    def client(folder, **settings):
        library = Library(folder, poll_seconds=0.05)
        library.refresh()
        settings.setdefault("hosts", ("testserver",))
        opened = TestClient(create_app(library, **settings))
        opened.__enter__()
        opened.library = library
        made.append(opened)
        return opened

    yield client
    for opened in made:
        opened.__exit__(None, None, None)
