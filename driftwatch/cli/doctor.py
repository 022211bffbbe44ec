"""`driftwatch doctor`: finds what would keep a run from being watched, and says how to fix it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

SIGNS = {"ok": "ok", "skipped": "-", "warning": "warning", "problem": "PROBLEM"}


@click.command("doctor")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="DRIFTWATCH_CONFIG",
    help="Settings file of the run; without it, the defaults are checked.",
)
@click.option("--model", help="Model to observe once, as a run would: a folder, a hub id, or smollm2.")
@click.option(
    "--baseline", type=click.Path(path_type=Path), help="Folder of the baseline, instead of the one in the settings."
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Optimizer steps of the training, which decide how many replies are decoded before it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(config: Path | None, model: str | None, baseline: Path | None, steps: int | None, as_json: bool) -> None:
    """Check versions, trainers, port, disk, settings, judge, GPU and baseline, and say what to fix.

    With --model it also says what an observation costs and, where the baseline model cannot be asked later, how long
    decoding its replies before training takes.

    Exit code 0: a run would be watched. 1: there is a problem.
    """
    from driftwatch.doctor import examine

    found = []
    for finding in examine(config, model=model, baseline=baseline, steps=steps):
        found.append(finding)
        if not as_json:
            click.echo(f"{SIGNS[finding.level]:<8} {finding.check:<10}  {finding.text}")
            if finding.fix is not None:
                click.echo(f"{'':<8} {'':<10}  → {finding.fix}")
    has_problem = any(finding.level == "problem" for finding in found)
    if as_json:
        findings = [asdict(finding) for finding in found]
        click.echo(json.dumps({"ok": not has_problem, "findings": findings}, indent=1, ensure_ascii=False))
    sys.exit(1 if has_problem else 0)
