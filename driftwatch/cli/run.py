"""`driftwatch run`: watches every Trainer that a command starts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from driftwatch.errors import ConfigError


class _Prefix(click.Command):
    """A command that precedes another one; it does not parse what follows "--"."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, theirs = _split(args)
        if not theirs and not set(ours) & set(ctx.help_option_names):
            raise click.UsageError(
                'expected "--" and the command that trains after it, found none. '
                "For example: driftwatch run -- python train.py."
            )
        ctx.meta["command"] = theirs
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


@click.command("run", cls=_Prefix)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="DRIFTWATCH_CONFIG",
    help="Settings file, see docs/configuration.md.  [default: the defaults of DriftCallback]",
)
@click.pass_context
def command(ctx: click.Context, config: Path | None) -> None:
    """Run COMMAND and watch every transformers or TRL Trainer in it, launchers included.

    \b
    driftwatch run -- python train.py
    driftwatch run --config drift.yaml -- accelerate launch --num_processes 2 train.py
    driftwatch run --config drift.yaml -- trl dpo --model_name_or_path ...

    A trainer that has a DriftCallback keeps it. One whose model is no causal language model is left alone, and a line
    says so. The exit code is the command's own; 3 if it ended well and no Trainer trained in it, 127 if there is no
    such command. Without the prefix, the command runs as before.
    """  # noqa: D301 - the backspace is click's mark of lines that stay as they are
    from driftwatch.config.resolved import check_environment
    from driftwatch.launch import notes, process
    from driftwatch.watch.schedule import DISABLED, looks_are_off

    words: list[str] = ctx.meta["command"]
    if looks_are_off():
        notes.say(f"{DISABLED} is set: the command runs unwatched")
        sys.exit(_run(words, dict(os.environ)))
    check_environment()
    if config is not None:
        _try_out(config)  # so that faults are reported before anything starts
    with tempfile.TemporaryDirectory(prefix="driftwatch-run-") as folder:
        code = _run(words, process.environment(os.environ, notes=Path(folder), config=config))
        found = notes.collect(Path(folder))
    for note in found:
        notes.leave(note)  # for another `driftwatch run` around this one
    for run in dict.fromkeys(note.folder for note in found if note.kind == "attached"):
        notes.say(f"what moved: driftwatch report {run}")
    if code == 0:
        notes.check(found, process.shown(words))
    sys.exit(code)


def _try_out(config: Path) -> None:
    """Make everything that the settings name in a process of its own, so that neither torch nor a judge stays here."""
    done = subprocess.run(
        [sys.executable, "-m", "driftwatch", "config", "check", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigError(done.stderr.strip().removeprefix("driftwatch: "))


def _run(words: list[str], env: dict[str, str]) -> int:
    from driftwatch.launch import process

    try:
        return process.run(words, env)
    except process.NotStarted as err:
        click.echo(f"driftwatch: {err}", err=True)
        sys.exit(err.exit_code)


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first "--", and those after it."""
    at = args.index("--") if "--" in args else len(args)
    return args[:at], args[at + 1 :]
