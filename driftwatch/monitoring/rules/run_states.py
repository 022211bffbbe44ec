"""Which runs a rule may speak about."""

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.rules import records as r


def active(config: Config) -> str:
    """The end of an expression: only runs that train, crashed ones for as long as they are reported.

    A Pushgateway keeps the last values of a run for ever; without the age an alert on them would never end.
    """
    return f"and on (run) ({r.RUNNING} == 1 unless on (run) {r.SILENCE} > {config.thresholds.ended_seconds:g})"


def reported(config: Config) -> str:
    """The end of an expression: also runs that have ended, for a while; what moved stays moved.

    As for `active`, and a reader who comes in the morning shall still find what happened at night.
    """
    return f"unless on (run) {r.SILENCE} > {config.thresholds.ended_seconds:g}"


def alive(config: Config) -> str:
    """The end of an expression: only runs whose trainer gives signs of life."""
    return f"and on (run) ({r.RUNNING} == 1 unless on (run) {r.SILENCE} > {config.thresholds.silent_seconds:g})"
