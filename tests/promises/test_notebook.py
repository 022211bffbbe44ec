"""A notebook as people use it: run, interrupt, run again, restart the kernel, run again, with the page left open."""

import asyncio
import http.client
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from driftwatch import RunStore

nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel (the extra dev)")
pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel (the extra dev)")

TESTS = Path(__file__).parents[1]
PATIENCE = 300  # seconds for a cell; what takes longer hangs

PREPARE = """
import sys, threading
sys.path.insert(0, {tests!r})
from pathlib import Path
from transformers import TrainerCallback
from support.small_trainings import callback, replies, trainer
from driftwatch.testing import tiny_tokenizer
folder = Path({folder!r})

class Long(TrainerCallback):
    "Shows where the run is watched, and stays in its second step where it is told to."
    def __init__(self, stays):
        self.stays = stays
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            print("WATCHED", watch.monitor.url, flush=True)
            if self.stays:
                threading.Event().wait({patience})

def left():
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("driftwatch")]
    for thread in ours:
        thread.join({patience} / 10)
    return sorted(thread.name for thread in ours if thread.is_alive())
"""
BEGIN = """
watch, long = callback(folder, exporters=("prometheus",), confirm=replies()), Long({stays})
run = trainer(folder, tiny_tokenizer(), [watch, long])
run.train()
"""
AGAIN = """
long.stays = {stays}
run.train()
"""


class Page:
    """A page that follows a run, as a browser does, and never closes by itself."""

    def __init__(self, url, run):
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        self._connection.request("GET", f"/api/v1/runs/{run}/events")
        self._response = self._connection.getresponse()
        self.began = self._response.readline()

    def rest(self):
        """All that comes until the other side ends the stream."""
        return self._response.read().decode()


class Notebook(nbclient.NotebookClient):
    """Opens a page at a run's second step, and interrupts there where it is told to."""

    interrupts, run = False, ""

    def process_message(self, msg, cell, cell_index):
        text = msg["content"].get("text", "") if msg["msg_type"] == "stream" else ""
        if "WATCHED" in text:
            url = text.split("WATCHED ")[1].split()[0]
            self.pages.append(Page(url, self.run))
            self.urls.append(url)
            if self.interrupts:
                self.interrupting = asyncio.ensure_future(self.km.interrupt_kernel())
        return super().process_message(msg, cell, cell_index)

    def execute(self, code, *, run="", interrupts=False):
        """Run a new cell at the end; what it printed, and the name of the error that has ended it."""
        from nbformat.v4 import new_code_cell

        self.interrupts, self.run = interrupts, run
        self.nb.cells.append(new_code_cell(code))
        cell = self.execute_cell(self.nb.cells[-1], len(self.nb.cells) - 1)
        errors = [out for out in cell.outputs if out.output_type == "error"]
        text = "".join(out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout")
        return text, "".join(out.ename for out in errors), errors


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    from nbformat.v4 import new_notebook

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DRIFTWATCH_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent), prepend=":")
    client = Notebook(new_notebook(), timeout=PATIENCE, allow_errors=True, kernel_name="python3")
    client.pages, client.urls = [], []
    with client.setup_kernel():
        yield client


@pytest.mark.nightly
def test_cells_are_run_interrupted_run_again_and_restarted_with_the_page_open(notebook, tmp_path):
    prepare = PREPARE.format(tests=str(TESTS), folder=str(tmp_path), patience=PATIENCE)
    runs = tmp_path / "runs"
    assert notebook.execute(prepare)[1:] == ("", [])

    # Interrupted in the middle: the run is stopped, its page told so, and nothing of it left.
    assert notebook.execute(BEGIN.format(stays=True), run="r1", interrupts=True)[1] == "KeyboardInterrupt"
    assert notebook.execute("print(left())")[0] == "[]\n"
    assert RunStore(runs / "r1").state() == "stopped"
    assert [record.step for record in RunStore(runs / "r1").records()] == [0, 1, 2]
    assert "stopped" in notebook.pages[0].rest()

    # Again: a run of its own, at the same port.
    assert notebook.execute(AGAIN.format(stays=False), run="r1-2")[1:] == ("", [])
    assert RunStore(runs / "r1-2").state() == "finished"
    assert [record.step for record in RunStore(runs / "r1-2").records()] == [0, 1, 2, 3]
    assert "finished" in notebook.pages[1].rest()

    # The kernel is restarted while a page is still open: it ends at once, and the run with it.
    assert notebook.execute(AGAIN.format(stays=True), run="r1-3", interrupts=True)[1] == "KeyboardInterrupt"
    restart(notebook)
    assert RunStore(runs / "r1-3").state() == "stopped"
    assert notebook.pages[2].rest() is not None

    assert notebook.execute(prepare)[1:] == ("", [])
    assert notebook.execute(BEGIN.format(stays=False), run="r1-4")[1:] == ("", [])
    assert RunStore(runs / "r1-4").state() == "finished"
    assert notebook.execute("print(left())")[0] == "[]\n"
    assert len(set(notebook.urls)) == 1, "each run was served where the one before it was"
    assert sorted(path.name for path in runs.iterdir()) == ["r1", "r1-2", "r1-3", "r1-4"]


def restart(notebook):
    """As the menu does it."""
    from jupyter_core.utils import run_sync

    notebook.kc.stop_channels()
    run_sync(notebook.km.restart_kernel)()
    run_sync(notebook.async_start_new_kernel_client)()
