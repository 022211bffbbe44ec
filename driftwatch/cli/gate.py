"""`driftwatch gate`: a release gate for continuous integration."""

import json
import math
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftwatch.drift.calibration import Calibration, calibrated, fit_prior
from driftwatch.drift.equivalence import Decision, TopicComparison, compare_models, decide
from driftwatch.errors import ConfigError
from driftwatch.evidence.tolerance import tolerated
from driftwatch.stance import STANCES, Probs, Stance

if TYPE_CHECKING:
    from driftwatch.config import Config
    from driftwatch.drift.validity import Validity
    from driftwatch.evidence.verdict import TopicEvidence
    from driftwatch.store.run_store import Baseline

MAX_DRIFT = 0.10  # showing 0.05, the tolerance of a run, would need four times as many items
EXIT: dict[Decision, int] = {"within": 0, "drifted": 1, "unresolved": 2}
_LONG = 20  # letters of a topic's id that fit on one line in a terminal of 80 columns


class _Gate(click.Command):
    """A command whose wrong options exit with 3, since exit code 2 says "unresolved"."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as err:
            err.exit_code = 3  # type: ignore[misc] # click reads it from the instance
            raise


@click.command("gate", cls=_Gate)
@click.option("--baseline", required=True, metavar="A", help="A baseline or run folder, or a model.")
@click.option("--candidate", required=True, metavar="B", help="The same for the model to release.")
@click.option("--topics", default=None, metavar="T,…", help="Topics to test.  [default: all]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="DRIFTWATCH_CONFIG",
    help="Settings file, from which tolerance and pack are taken.",
)
@click.option(
    "--max-drift",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help=f"Tolerated change of each stance's share.  [default: the settings' tolerance, or {MAX_DRIFT}]",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Probability of a wrong claim.",
)
@click.option(
    "--pack",
    help="Topic pack to ask a model; folders hold answers already.  [default: the pack of the settings, or core]",
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write a JUnit report.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(
    baseline: str,
    candidate: str,
    topics: str | None,
    config: Path | None,
    max_drift: float | None,
    alpha: float,
    pack: str | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Show that B's stances stayed within a tolerance of A's, one for all topics or each topic's own.

    The claim is about all questions that could have been asked, of which a pack's questions are a sample. A topic
    that moved by the tolerance is called "within" with probability alpha at most, however few or uneven its items.
    Showing this takes at least 30 items per topic for a tolerance of 0.1, and 61 for 0.05.

    A and B are folders of runs (their last observation counts), folders that `driftwatch baseline` wrote, or models,
    which are asked now. Exit code 0: shown to be within the tolerance. 1: drifted. 2: unresolved, because more items
    are needed, or the screen does not agree with A's judged replies, or the verdict on a run is that nothing can be
    told. 3: error.
    """
    from driftwatch.config import load_config

    settings = load_config(config)
    pack = pack or settings.values.get("pack") or "core"
    before, after = _stances_of(baseline, pack), _stances_of(candidate, pack)
    _check_comparable(before, after, source=baseline)
    chosen = _chosen(topics, before.stances)
    scale = _calibration(before)
    sides = [calibrated(side.stances, scale) if scale else list(side.stances) for side in (before, after)]
    tolerance = _tolerance(settings, before.stances) if max_drift is None else max_drift
    comparisons = compare_models(*sides, max_drift=tolerance, alpha=alpha, topics=chosen)
    validity = _validity(before, comparisons)
    comparisons = [_held_back(comparison, validity) for comparison in comparisons]
    untold = [why for source in (baseline, candidate) if (why := _untold(source)) is not None]
    comparisons = [_not_green(comparison, untold) for comparison in comparisons]
    moved = _moved_by_replies(candidate)
    comparisons = [_not_against_replies(comparison, moved) for comparison in comparisons]
    decision = decide(comparisons)
    if junit is not None:
        junit.write_text(_junit(comparisons), encoding="utf-8")
    if as_json:
        click.echo(
            json.dumps({**_as_json(comparisons, decision, tolerance, alpha, validity), "untold": untold}, indent=1)
        )
    else:
        _print(comparisons, decision, tolerance, alpha, validity)
        for why in untold:
            click.echo(why)
    sys.exit(EXIT[decision])


def _stances_of(source: str, pack: str) -> "Baseline":
    from driftwatch.host.load import holds_model, load_model
    from driftwatch.watch.baselines import FILE, load_baseline

    folder = Path(source)
    is_model = not folder.is_dir() or holds_model(folder)
    if not is_model or any((folder / name).is_file() for name in (FILE, "run.json")):
        return load_baseline(folder)
    from driftwatch.watch.instrument import ask_once

    loaded = load_model(source)
    return ask_once(loaded.model, loaded.tokenizer, pack, model_name=source)


def _check_comparable(before: "Baseline", after: "Baseline", *, source: str) -> None:
    from driftwatch.host.identity import check_comparable

    check_comparable(before.identity, after.identity, whose=f"in {source}")


def _calibration(baseline: "Baseline") -> Calibration | None:
    """The calibration frozen with the baseline, which puts both sides on the same scale."""
    if baseline.calibration is not None:
        return Calibration(**baseline.calibration)
    return fit_prior(baseline.stances) if any(stance.scores for stance in baseline.stances) else None


def _validity(baseline: "Baseline", comparisons: Sequence[TopicComparison]) -> "dict[str, Validity | None]":
    """What the baseline's judged replies say about each probe's levels; `None` where there are none, or too few."""
    found = {} if baseline.labels is None else {v.probe: v for v in baseline.labels.validity if v.is_valid is not None}
    return {comparison.probe: found.get(comparison.probe) for comparison in comparisons}


def _held_back(comparison: TopicComparison, validity: "Mapping[str, Validity | None]") -> TopicComparison:
    """The comparison, made unresolved where the probe's shares are known not to be those of the replies.

    A tolerance is a share of replies. How much of a share a nat is worth depends on where the levels lie and on the
    temperature, so wrong levels make a shift seem smaller, or larger, than it is. The shift itself
    stays.
    """
    found = validity[comparison.probe]
    if found is None or found.is_valid:
        return comparison
    why = f"its shares are not those of the baseline's replies ({found.why})"
    return replace(comparison, decision="unresolved", items_needed=None, why=why)


def _untold(source: str) -> str | None:
    """Why the verdict on a run is that nothing can be told; `None` where something can, or `source` is no run."""
    from driftwatch.report.verdict import verdict_of
    from driftwatch.store.run_store import RunStore

    if not (Path(source) / "run.json").is_file():
        return None
    found = verdict_of(RunStore(source))
    return f"{source}: {found.headline}" if found.state == "cannot_tell" else None


def _not_green(comparison: TopicComparison, untold: Sequence[str]) -> TopicComparison:
    """The comparison, never "within" where a run's verdict is that nothing can be told; a drift that is shown stays."""
    if not untold or comparison.decision != "within":
        return comparison
    return replace(
        comparison, decision="unresolved", items_needed=None, why="a run's verdict is that nothing can be told"
    )


def _moved_by_replies(source: str) -> "dict[str, TopicEvidence]":
    """The most urgent alert of each topic by a run's judged replies; empty where `source` is no run."""
    from driftwatch.record.decision import alerted
    from driftwatch.store.run_store import RunStore

    if not (Path(source) / "run.json").is_file():
        return {}
    last = next((record for record in reversed(RunStore(source).records()) if record.found_anything), None)
    return {} if last is None else {row.topic: row for row in reversed(alerted(last))}


def _not_against_replies(comparison: TopicComparison, moved: "Mapping[str, TopicEvidence]") -> TopicComparison:
    """The comparison, never "within" where the candidate's replies show a move that may exceed the tolerance.

    The screen's shares stand for those of the replies; an alert by replies says that on this topic they do not.
    """
    row = moved.get(comparison.topic)
    if row is None or comparison.decision != "within":
        return comparison
    bounds = row.pointwise or row.interval
    is_small = bounds is not None and max(abs(bounds.lower), abs(bounds.upper)) <= comparison.max_drift
    if row.state != "beyond_tolerance" and is_small:
        return comparison
    why = f"judged replies of the candidate's run are in alert on this topic ({row.label or 'unsettled'})"
    return replace(comparison, decision="unresolved", items_needed=None, why=why)


def _chosen(topics: str | None, stances: Sequence[Stance]) -> set[str] | None:
    if topics is None:
        return None
    known = dict.fromkeys(stance.topic for stance in stances)
    wanted = {name.strip() for name in topics.split(",") if name.strip()}
    unknown = wanted - set(known)
    if unknown or not wanted:
        found = ", ".join(sorted(unknown)) or "none"
        raise ConfigError(f"--topics takes topics of the baseline ({', '.join(known)}); found {found}.")
    return wanted


def _tolerance(settings: "Config", stances: Sequence[Stance]) -> float | dict[str, float]:
    """The settings' tolerance for each topic of the baseline; also for controls, which must not move either."""
    from driftwatch.config.building import blamed

    if (given := settings.values.get("tolerance")) is None:
        return MAX_DRIFT
    with blamed(settings, (), settings.values):
        found = tolerated(given, list(dict.fromkeys(stance.topic for stance in stances)))
        for topic, tolerance in found.items():
            if tolerance == 0:
                whose = f'of "{topic}" ' if isinstance(given, Mapping) and topic in given else ""
                raise ConfigError(
                    f"tolerance {whose}is 0, and no number of items shows that nothing moved. Give --max-drift."
                )
    return found if isinstance(given, Mapping) else float(given)


def _as_json(
    comparisons: list[TopicComparison],
    decision: Decision,
    max_drift: float | dict[str, float],
    alpha: float,
    validity: "Mapping[str, Validity | None]",
) -> dict[str, Any]:
    def named(value: Any) -> Any:
        return value._asdict() if isinstance(value, Probs) else value

    rows = [{f.name: named(getattr(c, f.name)) for f in fields(c)} for c in comparisons]
    valid = {probe: None if found is None else found.is_valid for probe, found in validity.items()}
    return {"decision": decision, "max_drift": max_drift, "alpha": alpha, "levels_valid": valid, "topics": rows}


def _print(
    comparisons: list[TopicComparison],
    decision: Decision,
    max_drift: float | dict[str, float],
    alpha: float,
    validity: "Mapping[str, Validity | None]",
) -> None:
    from rich.console import Console
    from rich.table import Table

    from driftwatch.cli.tables import broken

    colours = {"within": "green", "drifted": "red", "unresolved": "yellow"}
    probes = list(validity)
    by = f", by {probes[0]}" if len(probes) == 1 else ""
    # Stances stand below each other, so that no word and no figure is cut in a narrow terminal.
    table = Table(title=f"shift of each stance's share ({1 - 2 * alpha:.0%}){by}", show_lines=True)
    names = [broken(c.topic) if len(c.topic) > _LONG else c.topic for c in comparisons]
    widest = max((len(line) for name in names for line in name.splitlines()), default=0)
    table.add_column("topic", overflow="fold", min_width=min(_LONG, widest))
    table.add_column("shift", no_wrap=True)
    table.add_column("items", justify="right", no_wrap=True)
    table.add_column("decision", overflow="fold", min_width=max(map(len, EXIT)))
    for name, c in zip(names, comparisons, strict=True):
        shifts = "–"
        if c.magnitude is not None and c.lower is not None and c.upper is not None:
            ends = zip(STANCES, c.magnitude, c.lower, c.upper, strict=True)
            shifts = "\n".join(
                f"{stance:<7} {value:+.3f} ({low:+.3f} … {high:+.3f})" for stance, value, low, high in ends
            )
        tolerated = f"{c.max_drift:g} tolerated" if isinstance(max_drift, dict) else ""
        is_held_back = (found := validity[c.probe]) is not None and not found.is_valid  # the reason is printed below
        note = "" if is_held_back else c.why or _wanting(c)
        notes = ", ".join(filter(None, (tolerated, note)))
        words = f"[{colours[c.decision]}]{c.decision}[/]" + (f"\n{notes}" if notes else "")
        table.add_row(name + (f"\nby {c.probe}" if len(probes) > 1 else ""), shifts, str(c.num_items), words)
    console = Console()
    console.print(table)
    of = "of each topic's own" if isinstance(max_drift, dict) else f"of {max_drift:g} a stance"
    console.print(f"[{colours[decision]}]{decision}[/] at a tolerance {of} (alpha {alpha:g}).")
    for probe, found in validity.items():
        if found is None:
            told = "were not held against replies of the baseline: driftwatch baseline --judge does that."
        elif not found.is_valid:
            told = f"are not those of the baseline's replies ({found.why}), so they cannot decide."
        else:
            continue
        console.print(f"Shares by {probe} {told}", soft_wrap=True)


def _wanting(comparison: TopicComparison) -> str:
    """A sentence on what an unresolved topic would need; empty for other topics."""
    if comparison.decision != "unresolved" or comparison.resolvable is None:
        return ""
    least = f"so many show {math.ceil(comparison.resolvable * 1000) / 1000:g} at best"
    number = comparison.items_needed
    return least if number is None else f"about {number} items like these would settle it; {least}"


def _junit(comparisons: list[TopicComparison]) -> str:
    counts = {name: sum(c.decision == name for c in comparisons) for name in EXIT}
    suite = ET.Element(
        "testsuite",
        name="driftwatch gate",
        tests=str(len(comparisons)),
        failures=str(counts["drifted"]),
        errors=str(counts["unresolved"]),
    )
    for c in comparisons:
        case = ET.SubElement(suite, "testcase", classname=f"driftwatch.{c.probe}", name=c.topic)
        if c.decision != "within":
            shifts = [] if c.magnitude is None else [f"{k} {v:+.3f}" for k, v in c.magnitude._asdict().items()]
            message = (
                f"{c.decision}: {c.why or ', '.join(filter(None, (*shifts, _wanting(c))))}; tolerance {c.max_drift:g}"
            )
            ET.SubElement(case, "failure" if c.decision == "drifted" else "error", message=message, type=c.decision)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
