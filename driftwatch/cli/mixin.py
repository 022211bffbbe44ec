"""`driftwatch mixin`: writes rules, dashboards and deployment files with a user's own settings."""

from collections.abc import Callable
from pathlib import Path

import click

from driftwatch.cli.mixin_settings import config_of, mixin_settings
from driftwatch.errors import ConfigError


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write into; it is made if missing."
)
@click.option(
    "--only",
    type=click.Choice(["all", "rules", "dashboards", "grafana-rules"]),
    default="all",
    show_default=True,
    help="rules: the Prometheus rule file. grafana-rules: the same alerts, Grafana-managed.",
)
@mixin_settings
def command(out: Path, only: str, **settings: object) -> None:
    """Write alert rules, dashboards, and configuration for Prometheus, Alertmanager, Grafana, Compose and Kubernetes.

    The default settings give the files in the repository's dashboards/ and deploy/.
    """
    from driftwatch.monitoring import files

    config = config_of(settings)
    made: dict[str, Callable[[], dict[str, str]]] = {
        "all": lambda: files.everything(config),
        "rules": lambda: {f"{config.slug}.rules.yml": files.rules_text(config)},
        "dashboards": lambda: files.dashboard_texts(config),
        "grafana-rules": lambda: {f"{config.slug}.grafana.yaml": files.grafana_rules_text(config)},
    }
    for path in write_all(out, made[only]()):
        click.echo(str(path))


def write_all(folder: Path, texts: dict[str, str]) -> list[Path]:
    """Write every text below a folder; each file is written beside its place and renamed, so none is ever half-written.

    Raises:
        ConfigError: The folder cannot be written.
    """
    written = []
    for path, text in texts.items():
        target = folder / path
        beside = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            beside.replace(target)
        except OSError as err:
            raise ConfigError(f"{target} cannot be written ({err.strerror}); give a folder that can.") from err
        written.append(target)
    return written
