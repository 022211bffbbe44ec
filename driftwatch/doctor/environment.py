"""Checks whether the packages for training are installed and offer what the callback relies on."""

import importlib
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata, util

from driftwatch.doctor.finding import Finding

DISTRIBUTION = "driftwatch-trl"
OLDEST_PYTHON = (3, 10)
# Packages whose versions are always shown, since training is made of them.
SHOWN = ("torch", "transformers", "trl", "accelerate", "peft")
INSTALL = 'pip install "driftwatch-trl[train]"'


def installed(name: str) -> str | None:
    """The version of a package, or `None` if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions(version_of: Callable[[str], str | None] = installed) -> Finding:
    """Findings on the installed versions, compared with those that this release asks for."""
    python = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding("versions", "problem", f"Python {python} is too old.", f"Use Python {oldest} or newer.")
    wrong, found = [], [f"python {python}"]
    for name, wanted in _wanted().items():
        version = version_of(name)
        if version is None or not _suits(version, wanted):
            wrong.append(f"{name} {version or 'is missing'} (wanted {wanted or 'any'})")
        elif name in SHOWN:
            found.append(f"{name} {version}")
    if wrong:
        return Finding("versions", "problem", "; ".join(wrong), f"Install what is wanted: {INSTALL}")
    return Finding("versions", "ok", ", ".join(found))


def trainers() -> Iterator[Finding]:
    """Findings on whether the Trainer has what the callback needs, and on which trainers of TRL are installed."""
    from driftwatch.host.trainers import TRAINERS

    try:
        module = importlib.import_module("transformers.trainer_callback")
    except ImportError as err:
        yield Finding("trainers", "problem", f"the Trainer of transformers cannot be imported: {err}", INSTALL)
        return
    missing = [name for name in ("CallbackHandler", "ExportableState", "TrainerCallback") if not hasattr(module, name)]
    missing += [event for event in _events() if not hasattr(module.TrainerCallback, event)]
    if missing:
        text = f"this transformers lacks {', '.join(missing)}, which the callback needs"
        yield Finding("trainers", "problem", text, f"Install a version that driftwatch was tested with: {INSTALL}")
        return
    known = [row.trainer for row in TRAINERS if row.attaches and _offers(row.module, row.trainer)]
    yield Finding("trainers", "ok", f"can be watched here: {', '.join(known)}")


def _events() -> tuple[str, ...]:
    return ("on_train_begin", "on_step_end", "on_train_end")


def _wanted() -> dict[str, str]:
    """The version ranges by package, from the base install and from the extra for training."""
    try:
        from packaging.requirements import Requirement

        lines = metadata.requires(DISTRIBUTION) or []
    except (ImportError, metadata.PackageNotFoundError):
        return dict.fromkeys(SHOWN, "")
    found = {}
    for requirement in map(Requirement, lines):
        in_base = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if in_base or (requirement.marker is not None and requirement.marker.evaluate({"extra": "train"})):
            found[requirement.name] = str(requirement.specifier)
    return found


def _suits(version: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    # Builds from source and nightlies are judged by their version number.
    return SpecifierSet(wanted).contains(version, prereleases=True)


def _offers(module: str, trainer: str) -> bool:
    """Whether a module has a trainer, found without importing the trainer, which would take seconds."""
    package = module.split(".")[0]
    try:
        if module == package:
            return trainer in dir(importlib.import_module(package))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TRL warns that its experimental parts are experimental
            return util.find_spec(module) is not None
    except ImportError:
        return False
