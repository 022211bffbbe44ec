"""`driftwatch doctor`: finds what would keep a run from being watched, before it begins, and says what to do."""

from collections.abc import Iterator
from pathlib import Path

from driftwatch.config import Config, callback_arguments, load_config, make_callback
from driftwatch.config.resolved import check_environment, settings
from driftwatch.doctor import environment, places, self_checks
from driftwatch.doctor.finding import Finding, Level
from driftwatch.errors import DriftwatchError

__all__ = ["Finding", "Level", "examine"]


def examine(
    config: Path | None, *, model: str | None = None, baseline: Path | None = None, steps: int | None = None
) -> Iterator[Finding]:
    """Check everything that can be checked, and yield one finding at a time, the quick ones first.

    Args:
        config: Settings file, or `None` for the defaults.
        model: Model to observe once, as a run would; `None` leaves that out.
        baseline: Folder of the baseline, instead of the one that the settings name.
        steps: Optimizer steps of the training; `None` if unknown.
    """
    versions = environment.versions()
    yield versions
    can_train = versions.level != "problem"
    if can_train:
        yield from environment.trainers()
        yield from self_checks.of_versions()
    try:
        read = load_config(config)
        check_environment()
    except DriftwatchError as err:
        yield Finding("settings", "problem", str(err), "Correct it; everything else depends on it.")
        return
    resolved = {setting.key: setting for setting in settings(read)}
    yield places.endpoint(resolved)
    yield places.disk(resolved)
    yield from places.servers(resolved)
    if not can_train:
        yield Finding("settings", "skipped", "what they name is made by packages that are missing")
        return
    yield from _trained(read, model, baseline, steps)


def _trained(read: Config, model: str | None, baseline: Path | None, steps: int | None) -> Iterator[Finding]:
    """The findings that need the packages for training."""
    from driftwatch.doctor import model as examined
    from driftwatch.topics import load_pack

    try:
        make_callback(read)  # without the baseline, which has its own finding below
        arguments = callback_arguments(read)
    except DriftwatchError as err:
        yield Finding("settings", "problem", str(err), "Correct it; everything else depends on it.")
        return
    yield Finding("settings", "ok", f"{read.file} is right" if read.file else "the defaults")
    yield places.judge(arguments.get("confirm"), arguments.get("pack") or load_pack("core"))
    yield examined.graphics()
    named = baseline or (Path(read.values["baseline"]) if read.values.get("baseline") else None)
    stored = examined.baseline(named, read) if named is not None else None
    if stored is not None:
        yield stored
    if model is None:
        yield Finding("look", "skipped", "name the model with --model to see time, memory and the baseline")
    elif stored is None or stored.level == "ok":
        yield from examined.dry_look(model, read, baseline, steps)
