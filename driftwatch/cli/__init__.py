"""The command line: one module per command, imported when the command is called."""

import difflib
import importlib
import sys

import click

from driftwatch import __version__
from driftwatch.errors import DriftwatchError

# Module by command; the module's `command` is the click command. The table is written out so that --help imports none.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("driftwatch.cli.demo", "Watch a real model leave an SFT-established stance under DPO."),
    "run": ("driftwatch.cli.run", "Watch every Trainer below a command, without a change to its code."),
    "config": ("driftwatch.cli.config", "Check a settings file, and show what a run will do with it."),
    "doctor": ("driftwatch.cli.doctor", "Say what would keep a run from being watched, and how to fix it."),
    "baseline": ("driftwatch.cli.baseline", "Keep an SFT model's stances, to compare runs with."),
    "probe": ("driftwatch.cli.probe", "Ask any model once, and see whether the instrument works on it."),
    "serve": ("driftwatch.cli.serve", "Page, API and metrics of many runs."),
    "report": ("driftwatch.cli.report", "One file about a run, to send to a colleague."),
    "compare": ("driftwatch.cli.compare", "How far apart two runs ended."),
    "runs": ("driftwatch.cli.runs", "List, show, export and prune runs."),
    "plan": ("driftwatch.cli.plan", "How many draws, how long, and what is detectable at which observation."),
    "gate": ("driftwatch.cli.gate", "Show that a model stayed within a tolerance of another; for CI."),
    "simulate": ("driftwatch.cli.simulate", "Prove the stated false-alarm rate by simulation."),
    "stack": ("driftwatch.cli.stack", "Prometheus and Alertmanager with our rules, for a run or a service."),
    "mixin": ("driftwatch.cli.mixin", "Rules, dashboards and deployment files with your own settings."),
    "grafana": ("driftwatch.cli.grafana", "Dashboards, rules and annotations in a running Grafana."),
    "judge": ("driftwatch.cli.judge", "How well a judge reads replies that a person has read."),
    "packs": ("driftwatch.cli.packs", "List, show, check, sample and compare topic packs."),
}


class LazyGroup(click.Group):
    """A click group that imports a command only when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does, with a hint of our own, as click's hint knows only loaded commands."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as err:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not close or args[0].startswith("-"):
                raise
            raise click.UsageError(f"{err.message} Did you mean '{close[0]}'?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="driftwatch")
def group() -> None:
    """Which values moved, when, and how sure: drift monitoring for LLM post-training."""


def main() -> None:
    """Run the command line; errors of ours become one sentence on stderr and exit code 3."""
    try:
        group(prog_name="driftwatch")
    except DriftwatchError as err:
        click.echo(f"driftwatch: {err}", err=True)
        sys.exit(3)
