"""`driftwatch simulate`: proves the stated false-alarm rate on the production code."""

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from driftwatch.simulation.proof import GROUPS, Figure, Line, Report, prove
from driftwatch.simulation.rate import Rate

if TYPE_CHECKING:
    from driftwatch.watch.rehearsal import Rehearsal

Found = dict[tuple[Figure, float], Line]  # the lines of one scenario, by figure and tolerated drift


@click.command("simulate")
@click.option(
    "--quick", "suite", flag_value="quick", default=True, help="Find what is badly broken; takes a minute or two."
)
@click.option("--full", "suite", flag_value="full", help="Bound every rate; takes at most half an hour on two cores.")
@click.option(
    "--product",
    type=click.IntRange(0, 500),
    default=0,
    show_default=True,
    help="Number of whole runs to take also through sampler, pool, judge and resume, on a model of known shares.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Number of processes.  [default: one per core]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed gives the same figures."
)
def command(suite: str, product: int, as_json: bool, jobs: int | None, seed: int) -> None:
    """Prove the stated false-alarm rate by simulation.

    The code that watches your training watches thousands of simulated trainings whose models are known. Where nothing
    drifts, alerts are counted. Where something drifts, the observations until it is found are counted. Where an
    assumption is broken on purpose, the rate must break too. Exit code 0 if everything holds that must, else 1.
    """
    began = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=1.0)
        report = prove(
            "full" if suite == "full" else "quick",
            seed=seed,
            jobs=jobs or os.cpu_count() or 1,
            progress=lambda name, share: progress.update(task, completed=share, description=name),
        )
    rehearsal = None
    if product:
        from driftwatch.watch.rehearsal import rehearse_many

        rehearsal = rehearse_many(product, seed=seed)
    seconds = time.monotonic() - began
    if as_json:
        data = report.to_json()
        if rehearsal is not None:
            data["product"] = {
                name: {"rate": value.value, "lower": value.lower, "upper": value.upper, "runs": value.runs}
                if isinstance(value, Rate)
                else value
                for name, value in rehearsal._asdict().items()
            }
        click.echo(json.dumps({**data, "seconds": round(seconds, 1)}, indent=1))
    else:
        _print(report, seconds)
        if rehearsal is not None:
            _print_product(rehearsal)
    sys.exit(0 if report.passed and not (rehearsal and rehearsal.problems) else 1)


def _print(report: Report, seconds: float) -> None:
    console = Console()
    for group, title in GROUPS.items():
        by_scenario: dict[str, Found] = {}
        for line in report.lines:
            if line.group == group:
                by_scenario.setdefault(line.scenario, {})[line.figure, line.delta] = line
        if by_scenario:
            console.print((_power if group == "power" else _alerts)(title, by_scenario))
    table = Table("requested", "any alert", "value alert", title="Requested against achieved rate where nothing drifts")
    for alpha, (plain, value) in report.achieved.items():
        table.add_row(f"{alpha:g}", _share(plain), _share(value))
    console.print(table)
    failed = [line for line in report.lines if line.passed is False]
    for line in failed:
        console.print(
            f"[red]failed[/red]: {line.scenario}: {line.figure} at δ = {line.delta:g} must be {line.required}"
        )
    verdict = "[red]does not hold[/red]" if failed else "[green]holds[/green]"
    console.print(
        f"The {report.suite} proof {verdict}; seed {report.seed}, {seconds:.0f} s. Parentheses: 95 % intervals."
    )


def _print_product(found: "Rehearsal") -> None:
    table = Table("whole runs of the product", "share", title="Sampler, pool, judge and resume on known shares")
    table.add_row("quiet ones that raised an alert (alpha 0.2)", _share(found.quiet))
    table.add_row("quiet ones that showed an interval without 0", _share(found.excluded))
    table.add_row("ones that moved and were found", _share(found.found))
    console = Console()
    console.print(table)
    for problem in found.problems:
        console.print(f"[red]failed[/red]: {problem}")


def _alerts(title: str, by_scenario: dict[str, Found]) -> Table:
    table = Table(
        "scenario", "runs", "value alert", "… at δ = 0.03", "called specific", "any label", "holds", title=title
    )
    for scenario, own in by_scenario.items():
        value, tolerant, plain = own["value", 0.0], own["value", 0.03], own["any", 0.0]
        shares = [_share(line.rate) for line in (value, tolerant, own["specific", 0.0], plain)]
        table.add_row(scenario, _num_runs(value), *shares, _holds(own))
    return table


def _power(title: str, by_scenario: dict[str, Found]) -> Table:
    deltas = sorted({delta for own in by_scenario.values() for _, delta in own})
    table = Table(
        "scenario",
        "runs",
        *(f"δ = {d:g}" for d in deltas),
        "called specific",
        "holds",
        title=f"{title} (found, median observation)",
    )
    for scenario, own in by_scenario.items():
        cells = [_found(own["found", d], own["median observation", d]) for d in deltas]
        specific = _found(own["found specific", 0.0], own["median observation specific", 0.0])
        table.add_row(scenario, _num_runs(own["found", 0.0]), *cells, specific, _holds(own))
    return table


def _found(rate: Line, look: Line) -> str:
    share = "–" if rate.rate is None else f"{rate.rate.value:.2f}"
    return share if look.look is None else f"{share} / {look.look:g}"


def _share(rate: Rate | None) -> str:
    return "–" if rate is None else f"{rate.value:.4f} ({rate.lower:.4f}–{rate.upper:.4f})"


def _num_runs(line: Line) -> str:
    return "–" if line.rate is None else str(line.rate.runs)


def _holds(own: Found) -> str:
    required = [line.passed for line in own.values() if line.passed is not None]
    return "" if not required else "[green]yes[/green]" if all(required) else "[red]no[/red]"
