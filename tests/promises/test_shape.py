"""What keeps a run readable: nothing in it is optional, and its two verbs stand on one screen each."""

import ast
import inspect
from pathlib import Path

import pytest

import driftwatch.watch
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.run import Run

SCREEN = 60  # lines


@pytest.mark.parametrize(
    "path", sorted(Path(driftwatch.watch.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_nothing_is_asserted_of_own_state(path):
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("verb", [Monitor.begin, Run.observe], ids=lambda verb: verb.__qualname__)
def test_a_verb_of_a_run_stands_on_one_screen(verb):
    lines, _ = inspect.getsourcelines(inspect.unwrap(verb))
    docstring = inspect.getdoc(verb) or ""
    assert len(lines) - len(docstring.splitlines()) <= SCREEN
