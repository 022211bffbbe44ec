"""Runs at the start of every Python process below `driftwatch run`, and waits until transformers is imported.

Site-packages may hold a `sitecustomize` too, which this one hides, so this one runs it.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

WATCHED = "transformers.trainer_callback"
HERE = os.path.dirname(os.path.abspath(__file__))


class _Waiting:
    """Notices the import of one module, once, and leaves everything else to the usual finders."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_attach(module: ModuleType) -> None:
            execute(module)
            _attach(module)

        spec.loader.exec_module = execute_and_attach  # type: ignore[method-assign] # on this loader object only
        return spec


def _attach(module: ModuleType) -> None:
    """Patch transformers; if that fails, the command goes on unwatched, and `driftwatch run` says so at its end."""
    try:
        from driftwatch.launch.attach import attach_to

        attach_to(module)
    except Exception as err:  # noqa: BLE001 - our own fault must not end the user's process
        print(f"driftwatch: nothing is watched in {sys.executable}: {err}", file=sys.stderr)  # noqa: T201 - no logging yet
        _note_failure(str(err))


def _note_failure(reason: str) -> None:
    # The note is written by hand, since the module that writes notes may be the one that could not be imported.
    import json

    try:
        with open(os.path.join(os.environ["DRIFTWATCH_RUN_NOTES"], f"{os.getpid()}.jsonl"), "a") as file:
            file.write(json.dumps({"kind": "failed", "text": f"{sys.executable}: {reason}"}) + "\n")
    except (KeyError, OSError):
        pass


def _run_hidden() -> None:
    """Run the `sitecustomize` that Python would have run without us, under that name."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != HERE]
    spec = PathFinder.find_spec(__name__, sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[__name__] = module
    spec.loader.exec_module(module)


if os.environ.get("DRIFTWATCH_RUN_NOTES"):
    sys.meta_path.insert(0, _Waiting())
_run_hidden()
