"""Folder: a place of its own for each run, however many begin at once under one name, and wherever the process goes."""

import os
from pathlib import Path

from driftwatch.store.run_store import MAX_NAME, valid_run_name


def free_folder(parent: Path, name: str) -> Path:
    """A folder that no other run has or gets: NAME, or else NAME-2, NAME-3 and so on.

    It exists then, with the sign of life that `RunStore.beat` renews, and without a description: for readers there is
    no run in it yet. One that a crash leaves so stays empty, and its name is passed over.

    Args:
        parent: Where runs are kept.
        name: What the run is called.

    Raises:
        StoreError: The name cannot be one of a run.
    """
    folder, number = parent / valid_run_name(name), 1
    while not _claimed(folder):
        number += 1
        suffix = f"-{number}"
        folder = parent / f"{name[: MAX_NAME - len(suffix)]}{suffix}"
    return folder


def _claimed(folder: Path) -> bool:
    """Whether the folder is ours now: it is of the one process that made its sign of life."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        # A file of this name is passed over; anything else is wrong with every name, and `RunStore.create` says what.
        return not os.path.lexists(folder)
    if (folder / "run.json").exists():
        return False  # a run that was copied here may have no sign of life
    try:
        (folder / "heartbeat").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def absolute(path: str | Path) -> Path:
    """A path that stays what it is when the process changes its folder; symbolic links in it are left alone."""
    return Path(os.path.abspath(Path(path).expanduser()))
