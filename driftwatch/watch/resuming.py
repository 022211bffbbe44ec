"""Resuming: finds the run that a training goes on with, by what its checkpoint says about the runs that watched it.

transformers keeps the state of callbacks by class. For several callbacks of one class it keeps a list, to which each
checkpoint adds. An entry is therefore found by its content, not by its place, and the newest entry of a run counts.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from driftwatch.errors import StoreError
from driftwatch.store.folder import absolute
from driftwatch.store.run_store import RunStore
from driftwatch.watch.branching import Checkpoint

PUBLISHED_NEVER = "_driftwatch"  # the Trainer's upload to the Hub leaves out what begins with "_"
HOME = "driftwatch"


def entries(kept: Any) -> list[dict[str, Any]]:
    """The newest entry of each run in a checkpoint, in the order in which the runs began.

    Args:
        kept: Our part of `TrainerState.stateful_callbacks`: an entry, a list of entries, or nothing.
    """
    newest: dict[str, dict[str, Any]] = {}
    for entry in kept if isinstance(kept, list) else [kept]:
        progress = entry.get("attributes", {}).get("progress", {}) if isinstance(entry, dict) else {}
        if isinstance(progress, dict) and progress.get("folder"):
            newest[progress["folder"]] = progress
    return list(newest.values())


def chosen(
    found: list[dict[str, Any]], *, pack: str, name: str | None, taken: Collection[str]
) -> dict[str, Any] | None:
    """The entry that belongs to one callback; `None` if there is none.

    Args:
        found: The entries in the checkpoint.
        pack: Digest of the topic pack that the callback asks.
        name: The run's name; `None` if the user has not named it.
        taken: Folders of runs that other callbacks of this training have gone on with.
    """
    if len(found) == 1:
        return None if found[0]["folder"] in taken else found[0]  # the run itself refuses if it asks something else
    fitting = [one for one in found if one.get("pack", pack) == pack and one["folder"] not in taken]
    named = [one for one in fitting if name is not None and name == one.get("name")]
    return next(iter(named or fitting), None)


def checkpoint_of(progress: Mapping[str, Any], step: int, output: Path) -> Checkpoint | None:
    """Where an entry's run is now, with the checkpoint's place in it; `None` if the run is gone.

    Args:
        progress: The entry.
        step: Optimizer steps done.
        output: The Trainer's present output folder.
    """
    folder, before = Path(progress["folder"]), progress.get("output")
    attempt, look = progress.get("attempt"), progress.get("look")
    if before is not None and not _same(Path(before), output):
        moved = _moved(folder, Path(before), output)
        if moved is not None and _is_copy(folder, moved):
            return Checkpoint(moved, step, attempt, look)
        if _is_run(folder):
            return Checkpoint(folder, step, attempt, look, is_elsewhere=Path(before).is_dir())
        return None
    return Checkpoint(folder, step, attempt, look) if _is_run(folder) else None


def home_of_runs(output: str | Path, *, is_first: bool) -> Path:
    """The folder of a Trainer's runs: "driftwatch" in its output folder, which its upload to the Hub leaves out.

    A run holds replies and the machine's name, and `push_to_hub` uploads the output folder, now or years later. The
    upload skips names that begin with "_" and follows no links; so the folder has such a name, and "driftwatch" is a
    link to it.

    Args:
        output: The Trainer's output folder.
        is_first: Whether this rank writes.
    """
    hidden, shown = absolute(output) / PUBLISHED_NEVER, absolute(output) / HOME
    if is_first and not os.path.lexists(shown):
        try:
            hidden.mkdir(parents=True, exist_ok=True)
            shown.symlink_to(PUBLISHED_NEVER, target_is_directory=True)
        except OSError:  # links cannot be made here; a folder that cannot be written is reported later
            return hidden
    return shown if shown.is_symlink() else hidden


def _moved(folder: Path, before: Path, output: Path) -> Path | None:
    """Where the run is if it was moved along with the output folder; `None` if it was not kept inside that folder."""
    for inside, root in ((folder, before), (folder.resolve(), before.resolve())):
        if inside.is_relative_to(root):
            return output / inside.relative_to(root)
    return None


def _is_copy(folder: Path, moved: Path) -> bool:
    """Whether a run at another place is the entry's run; if the original is gone, any run there counts."""
    try:
        return _is_run(moved) and (not _is_run(folder) or RunStore(folder).info().created == _created(moved))
    except StoreError:
        return False


def _created(folder: Path) -> float:
    return RunStore(folder).info().created


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
