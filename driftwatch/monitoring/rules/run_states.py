"""Ends of expressions that decide which runs a rule speaks about."""

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.rules import records as r


def active(config: Config) -> str:
    """The end of an expression that keeps runs in training, and crashed ones for as long as they are reported.

    A Pushgateway keeps the last values of a run for ever, so without the limit on their age an alert would never end.
    """
    return f"and on (run) ({r.RUNNING} == 1 unless on (run) {r.SILENCE} > {config.thresholds.ended_seconds:g})"


def reported(config: Config) -> str:
    """The end of an expression that also keeps runs that have ended, for a while, since what moved stays moved.

    The age is limited as in `active`; a reader who comes in the morning still finds what happened at night.
    """
    return f"unless on (run) {r.SILENCE} > {config.thresholds.ended_seconds:g}"


def alive(config: Config) -> str:
    """The end of an expression that keeps runs whose trainer gives signs of life."""
    return f"and on (run) ({r.RUNNING} == 1 unless on (run) {r.SILENCE} > {config.thresholds.silent_seconds:g})"
