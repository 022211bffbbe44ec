"""Resuming: which run a training goes on with, by what its checkpoint says of the runs that watched it.

transformers keeps the state of callbacks by class. Of several callbacks of one class it keeps a list, to which each
checkpoint adds; so an entry is found by what it says, not by its place, and the newest of a run counts.
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
    """What a checkpoint says of each run, the newest entry of each, in the order in which the runs began.

    Args:
        kept: Ours among `TrainerState.stateful_callbacks`: an entry, a list of them, or nothing.
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
    """The entry of one callback; `None` where none is its own.

    Args:
        found: What the checkpoint says.
        pack: Digest of what the callback asks.
        name: The run's name, if the user has named it.
        taken: Folders that other callbacks of this training have gone on with.
    """
    if len(found) == 1:
        return None if found[0]["folder"] in taken else found[0]  # whether it asks the same is said by the run
    fitting = [one for one in found if one.get("pack", pack) == pack and one["folder"] not in taken]
    named = [one for one in fitting if name is not None and name == one.get("name")]
    return next(iter(named or fitting), None)


def checkpoint_of(progress: Mapping[str, Any], step: int, output: Path) -> Checkpoint | None:
    """Where the run of an entry is now; `None` where it is gone.

    Args:
        progress: The entry.
        step: Optimizer steps done.
        output: The Trainer's output folder now.
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
    """Where a Trainer's runs are kept: "driftwatch" in its output folder, out of reach of its upload to the Hub.

    A run holds replies and the machine's name, and `push_to_hub` uploads the output folder, now or years later. It
    leaves out what begins with "_" and follows no links; so the folder has such a name, and "driftwatch" leads there.

    Args:
        output: The Trainer's output folder.
        is_first: Whether this rank writes.
    """
    hidden, shown = absolute(output) / PUBLISHED_NEVER, absolute(output) / HOME
    if is_first and not os.path.lexists(shown):
        try:
            hidden.mkdir(parents=True, exist_ok=True)
            shown.symlink_to(PUBLISHED_NEVER, target_is_directory=True)
        except OSError:  # no links here, or no right to make one; what cannot be written is said later
            return hidden
    return shown if shown.is_symlink() else hidden


def _moved(folder: Path, before: Path, output: Path) -> Path | None:
    """Where the run is if it has come along with the output folder."""
    for inside, root in ((folder, before), (folder.resolve(), before.resolve())):
        if inside.is_relative_to(root):
            return output / inside.relative_to(root)
    return None


def _is_copy(folder: Path, moved: Path) -> bool:
    """Whether a run at another place is that of an entry, as far as that one can still be asked."""
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
