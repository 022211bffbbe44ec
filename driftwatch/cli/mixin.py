"""`driftwatch mixin`: rules, dashboards and deployment files with a user's own settings."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from driftwatch.errors import ConfigError
from driftwatch.mixin.config import SEVERITIES, Config, Severity, with_thresholds

Value = TypeVar("Value")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write into; made if missing.")
@click.option(
    "--only",
    type=click.Choice(["all", "rules", "dashboards", "grafana-rules"]),
    default="all",
    show_default=True,
    help="rules: the Prometheus rule file. grafana-rules: the same alerts, Grafana-managed.",
)
@click.option("--selector", default="", help="Label matchers added to every series, such as 'cluster=\"a\"'.")
@click.option("--service-selector", help="Matchers of the `up` series of `driftwatch serve`.")
@click.option("--prefix", help="Begins names of alerts and dashboards.  [default: Driftwatch]")
@click.option("--threshold", "thresholds", multiple=True, metavar="NAME=VALUE", help="Change a threshold; repeatable.")
@click.option(
    "--severity",
    "severities",
    multiple=True,
    metavar="ALERT=LEVEL",
    help="info, warning, critical or off for an alert, named without prefix; repeatable.",
)
@click.option("--scrape-interval", help="As in prometheus.yml.  [default: 15s]")
@click.option("--evaluation-interval", help="How often rules are evaluated.  [default: 30s]")
@click.option("--runbook-url", help="Address of the runbook; left out, the runbook dashboard.")
@click.option("--grafana-url", help="Root of the Grafana that alerts link to.  [default: http://127.0.0.1:3000]")
@click.option("--datasource-uid", help="Of the Prometheus data source.  [default: driftwatch-prometheus]")
@click.option("--release", help="Label `release` of Kubernetes resources.  [default: kube-prometheus-stack]")
def command(
    out: Path, only: str, thresholds: tuple[str, ...], severities: tuple[str, ...], **settings: str | None
) -> None:
    """Write alert rules, dashboards, and configuration for Prometheus, Alertmanager, Grafana, Compose and Kubernetes.

    Left alone, the settings give the files of the repository's dashboards/ and deploy/.
    """
    from driftwatch.mixin import files

    config = Config(
        thresholds=with_thresholds(_pairs("--threshold", thresholds, float, "a number")),
        severities=_pairs("--severity", severities, _severity, f"one of {', '.join(SEVERITIES)}"),
        **{name: value for name, value in settings.items() if value is not None},
    )
    rule_path = f"{config.slug}.rules.yml"
    made: dict[str, Callable[[], dict[str, str]]] = {
        "all": lambda: files.everything(config),
        "rules": lambda: {rule_path: files.rules_text(config)},
        "dashboards": lambda: files.dashboard_texts(config),
        "grafana-rules": lambda: {f"{config.slug}.grafana.yaml": files.grafana_rules_text(config)},
    }
    write_all(out, made[only]())


def write_all(folder: Path, texts: dict[str, str]) -> None:
    """Write every text, each beside its place and renamed, and list them."""
    for path, text in texts.items():
        target = folder / path
        beside = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            beside.replace(target)
        except OSError as err:
            raise ConfigError(f"{target} cannot be written ({err.strerror}); give --out a folder that can.") from err
        click.echo(str(target))


def _severity(text: str) -> Severity:
    return SEVERITIES[SEVERITIES.index(text)]  # index refuses any other text


def _pairs(option: str, given: tuple[str, ...], kind: Callable[[str], Value], what: str) -> dict[str, Value]:
    found = {}
    for pair in given:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = kind(value.strip())
        except ValueError as err:
            raise ConfigError(f"{option} takes NAME=VALUE with {what} as the value; found {pair!r}.") from err
    return found
