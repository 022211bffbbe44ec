"""Arguments: what a Monitor is given, checked by kind, so that a slip is met before the first look, by a sentence."""

from collections.abc import Sequence
from typing import Any, get_args

from driftwatch.drift.compare import BaselineName
from driftwatch.errors import ConfigError
from driftwatch.replies.confirmation import Confirmation
from driftwatch.watch.schedule import Schedule


def check_kinds(confirm: Any, schedule: Any, alerting_baseline: Any, **lists: Any) -> None:
    """Refuse what has another type than the signature says; a settings file is checked by its schema already.

    Args:
        confirm: A `Confirmation` or `None`.
        schedule: A `Schedule` or `None`.
        alerting_baseline: A name or `None`.
        lists: Names or objects, by the name of the parameter.

    Raises:
        ConfigError: With what to write instead.
    """
    if confirm is not None and not isinstance(confirm, Confirmation):
        raise ConfigError(
            f'confirm takes Confirmation(…) or None; found {confirm!r}. Write confirm=Confirmation(judge="sides").'
        )
    if schedule is not None and not isinstance(schedule, Schedule):
        raise ConfigError(
            f"schedule takes Schedule(…) or None; found {schedule!r}. Write schedule=Schedule(every_steps=100)."
        )
    if alerting_baseline is not None and alerting_baseline not in get_args(BaselineName):
        known = " or ".join(f'"{name}"' for name in get_args(BaselineName))
        raise ConfigError(f"alerting_baseline is {known}, or None to choose; found {alerting_baseline!r}.")
    check_lists(**lists)


def check_lists(**lists: Any) -> None:
    """Refuse what is no list of names or objects; by the name of the parameter.

    Raises:
        ConfigError: With what to write instead.
    """
    for name, value in lists.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            instead = "[]" if value is None else f"[{value!r}]"
            raise ConfigError(f"{name} takes a list of names or objects; found {value!r}. Write {name}={instead}.")


def check_trainer(trainer: Any) -> None:
    """Refuse what is no trainer that callbacks are given to.

    Raises:
        ConfigError: With what to write instead.
    """
    if not hasattr(trainer, "callback_handler"):
        raise ConfigError(
            f"use_engine takes the trainer that this callback was given to; found {trainer!r}. "
            "Write callback.use_engine(trainer) after trainer = GRPOTrainer(…, callbacks=[callback])."
        )
