"""Folder: a folder of its own for each run, even if many begin at once under one name or change their directory."""

import os
from pathlib import Path

from driftwatch.store.run_store import MAX_NAME, valid_run_name


def free_folder(parent: Path, name: str) -> Path:
    """A folder that no other run has or gets: NAME, or else NAME-2, NAME-3 and so on.

    The folder then exists, with the heartbeat file that `RunStore.beat` renews, but without a description: for readers
    there is no run in it yet. If a crash leaves it so, it stays empty and its name is passed over from then on.

    Args:
        parent: Folder in which runs are kept.
        name: Name of the run.

    Raises:
        StoreError: The name cannot be that of a run.
    """
    folder, number = parent / valid_run_name(name), 1
    while not _claimed(folder):
        number += 1
        suffix = f"-{number}"
        folder = parent / f"{name[: MAX_NAME - len(suffix)]}{suffix}"
    return folder


def _claimed(folder: Path) -> bool:
    """Whether the folder is ours now: it belongs to the one process that created its heartbeat file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        # A file of this name is passed over. Any other fault would meet every name, and `RunStore.create` reports it.
        return not os.path.lexists(folder)
    if (folder / "run.json").exists():
        return False  # a run that was copied here may have no heartbeat file
    try:
        (folder / "heartbeat").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def absolute(path: str | Path) -> Path:
    """The absolute path, which stays valid when the process changes its directory; symbolic links are left alone."""
    return Path(os.path.abspath(Path(path).expanduser()))
