"""Notes by which processes below `driftwatch run` report to it: one file per process, one JSON line per note."""

import json
import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from driftwatch.errors import ConfigError
from driftwatch.store.tail import Tail

FOLDER = "DRIFTWATCH_RUN_NOTES"
CONFIG = "DRIFTWATCH_CONFIG"

# loaded: transformers was imported; attached: we watch a training; own: a callback that the user passed watches it;
# unfit: it is not watched, since its model cannot be asked; failed: our part of a process could not begin.
Kind = Literal["loaded", "attached", "own", "unfit", "failed"]


class Note(NamedTuple):
    """One event that a process reports.

    Attributes:
        kind: What happened.
        text: The trainer and its model, or a reason.
        folder: Folder of the run, where there is one.
    """

    kind: Kind
    text: str = ""
    folder: str = ""


def leave(note: Note) -> None:
    """Write a note, if `driftwatch run` reads notes; a full disk must not stop a training."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    try:
        with Path(folder, f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(note._asdict()) + "\n")
    except OSError:
        pass


def collect(folder: Path) -> list[Note]:
    """All notes; those of one process are in order."""
    files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    return [note for path in files for _, note in Tail(path).values(_read)]


def _read(line: bytes) -> Note:
    return Note(**json.loads(line))


def check(notes: list[Note], command: str) -> None:
    """Check that some training was watched, or left alone with a line that said so.

    Raises:
        ConfigError: There was none; the message says how far the command came.
    """
    kinds = {note.kind for note in notes}
    if kinds & {"attached", "own", "unfit"}:
        return
    said = {note.kind: note.text for note in notes}
    if "failed" in kinds:
        why = f"driftwatch could not begin in {said['failed']}. Install it beside the training: {_install()}."
    elif "loaded" in kinds:
        why = (
            "it imported transformers, and no Trainer began to train. For a loop of your own use Monitor: "
            "docs/extending.md."
        )
    else:
        why = (
            "no Python below it imported the Trainer of transformers. Is it the command that trains, on this machine, "
            "with its environment passed on (no -E, -I or -S)?"
        )
    raise ConfigError(f"nothing was watched in `{command}`: {why}")


def _install() -> str:
    return 'pip install "driftwatch-trl[train]"'


def say(text: str) -> None:
    """Print one line for the person who started the command."""
    print(f"driftwatch: {text}", file=sys.stderr, flush=True)  # noqa: T201 - part of the command's own output
