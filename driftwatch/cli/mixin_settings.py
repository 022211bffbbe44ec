"""The settings that `driftwatch mixin` and `driftwatch grafana` share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from driftwatch.errors import ConfigError
from driftwatch.monitoring.config import SEVERITIES, Config, Severity, with_thresholds

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")

_OPTIONS = (
    click.option("--selector", help="Label matchers added to every series, such as 'cluster=\"a\"'."),
    click.option("--service-selector", help='Matchers of `driftwatch serve`.  [default: job="driftwatch-service"]'),
    click.option("--prefix", help="Prefix of the names of alerts and dashboards.  [default: Driftwatch]"),
    click.option("--threshold", "thresholds", multiple=True, metavar="NAME=VALUE", help="A threshold; repeatable."),
    click.option(
        "--severity",
        "severities",
        multiple=True,
        metavar="ALERT=LEVEL",
        help="Severity (info, warning, critical or off) of an alert, named without the prefix; repeatable.",
    ),
    click.option("--scrape-interval", help="The interval in prometheus.yml.  [default: 15s]"),
    click.option("--evaluation-interval", help="How often rules are evaluated.  [default: 30s]"),
    click.option("--runbook-url", help="Address of the runbook.  [default: the runbook dashboard]"),
    click.option("--grafana-url", help="Root of the Grafana that alerts link to.  [default: http://127.0.0.1:3000]"),
    click.option("--datasource-uid", help="Uid of the Prometheus data source.  [default: driftwatch-prometheus]"),
    click.option("--release", help="Label `release` on Kubernetes resources.  [default: kube-prometheus-stack]"),
)


def mixin_settings(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def config_of(settings: Mapping[str, Any]) -> Config:
    """The config that the options describe.

    Raises:
        ConfigError: One of the options cannot work.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    thresholds = _pairs("--threshold", given.pop("thresholds", ()), float, "a number")
    severities = _pairs("--severity", given.pop("severities", ()), _severity, f"one of {', '.join(SEVERITIES)}")
    return Config(thresholds=with_thresholds(thresholds), severities=severities, **given)


def _severity(text: str) -> Severity:
    return SEVERITIES[SEVERITIES.index(text)]  # index refuses any other text with a ValueError


def _pairs(option: str, given: Iterable[str], kind: Callable[[str], Value], what: str) -> dict[str, Value]:
    found = {}
    for pair in given:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = kind(value.strip())
        except ValueError as err:
            raise ConfigError(f"{option} takes NAME=VALUE with {what} as the value; found {pair!r}.") from err
    return found
