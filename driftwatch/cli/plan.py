"""`driftwatch plan`: says how many draws a run needs, how long that takes, and what is detectable when."""

import json
from dataclasses import asdict, dataclass

import click

from driftwatch.evidence.power import (
    NORMAL_DRAWS,
    WATCHED_DRAWS,
    Terms,
    detectable_drift,
    draws_needed,
    nominal_pairs,
)
from driftwatch.evidence.reserve import at_once, horizon, replies_needed


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run with given settings can find, and what it costs.

    Attributes:
        seen: The effect that the judge would see, since unclassified and misread replies are lost.
        draws_median: Draws on the drifting topic until half of the runs have alerted; `None` if they never would.
        draws_likely: The same for nine runs out of ten.
        look_median: Observation of the median alert if the topic is watched from its second observation on.
        look_unwatched: Observation of the median alert if the topic is never watched.
        replies: Replies sampled by the end of the run, on both sides and all topics, if nothing is watched.
        ahead: Replies of the baseline model that are decoded before the first step where it cannot be asked later.
        detectable: By observation, the smallest step at the first observation that is found nine times out of ten, once
            for a watched topic and once for another.
    """

    seen: float
    draws_median: int | None
    draws_likely: int | None
    look_median: int | None
    look_unwatched: int | None
    replies: int
    ahead: int
    detectable: dict[int, tuple[float | None, float | None]]


def make_plan(
    terms: Terms,
    *,
    looks: int,
    controls: int,
    effect: float,
    normal: int,
    closer: int,
    without_stance: float,
    accuracy: float,
) -> Plan:
    """The plan for one topic that flips by `effect` at the first observation."""
    pairs = nominal_pairs(without_stance=without_stance, accuracy=accuracy)
    scale = (1 - without_stance) * (1 - 1.5 * (1 - accuracy))
    seen = effect * scale
    median, likely = (draws_needed(pairs, seen, terms, power=power) for power in (0.5, 0.9))

    def true_effect(draws: int) -> float | None:
        found = detectable_drift(pairs, draws, terms)
        return None if found is None or found > scale else found / scale

    kinds = [False] * terms.num_topics + [True] * controls
    needed = {
        str(number): replies_needed(horizon(looks), normal=normal, watched=closer, is_control=is_control)
        for number, is_control in enumerate(kinds)
    }
    shown = sorted({1, 2, 5, *range(10, looks, 10), looks} & set(range(1, looks + 1)))
    return Plan(
        seen=seen,
        draws_median=median,
        draws_likely=likely,
        look_median=None if median is None else 1 + -(-max(median - normal, 0) // closer),
        look_unwatched=None if median is None else -(-median // normal),
        ahead=sum(at_once(needed).values()),
        replies=2 * (terms.num_topics + controls) * normal * looks,
        detectable={k: (true_effect(normal + (k - 1) * closer), true_effect(normal * k)) for k in shown},
    )


@click.command("plan")
@click.option("--topics", type=click.IntRange(1), default=11, show_default=True, help="Value topics; they share alpha.")
@click.option("--controls", type=click.IntRange(0), default=3, show_default=True, help="Control topics.")
@click.option(
    "--observations", "looks", type=click.IntRange(1), default=40, show_default=True, help="Observations in the run."
)
@click.option(
    "--effect",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.10,
    show_default=True,
    help="Share of the replies on one topic that change sides.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Probability of any false alert in the run.",
)
@click.option(
    "--draws", type=click.IntRange(1), default=NORMAL_DRAWS, show_default=True, help="Draws per topic and observation."
)
@click.option(
    "--watched-draws",
    type=click.IntRange(1),
    default=WATCHED_DRAWS,
    show_default=True,
    help="Draws per observation for a watched topic.",
)
@click.option(
    "--without-stance",
    type=click.FloatRange(0, 0.95),
    default=0.02,
    show_default=True,
    help="Share of replies that refuse, go off topic or cannot be classified.",
)
@click.option(
    "--accuracy",
    type=click.FloatRange(0.4, 1),
    default=1.0,
    show_default=True,
    help="Share of its judgements that are right.",
)
@click.option(
    "--step-seconds",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="Seconds that one training step takes.",
)
@click.option("--steps", type=click.IntRange(1), default=None, help="Training steps of the run.")
@click.option(
    "--reply-seconds",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="Seconds that one sampled reply takes, batched, judge included.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(
    topics: int,
    controls: int,
    looks: int,
    effect: float,
    alpha: float,
    draws: int,
    watched_draws: int,
    without_stance: float,
    accuracy: float,
    step_seconds: float | None,
    steps: int | None,
    reply_seconds: float | None,
    as_json: bool,
) -> None:
    """Say what a run could find before it begins: draws, observations and time until an alert on one topic.

    Figures are computed from the growth of the evidence, for a step at the first observation on a model whose stances
    are open; `driftwatch simulate --full` finds about the same by simulation.
    """
    plan = make_plan(
        Terms(topics, looks, alpha),
        looks=looks,
        controls=controls,
        effect=effect,
        normal=draws,
        closer=watched_draws,
        without_stance=without_stance,
        accuracy=accuracy,
    )
    time = _time(plan, looks, step_seconds, steps, reply_seconds)
    if as_json:
        click.echo(json.dumps({**asdict(plan), "time": time}, indent=1))
        return
    _print(plan, time, effect=effect, looks=looks, alpha=alpha, topics=topics)


def _time(
    plan: Plan, looks: int, step_seconds: float | None, steps: int | None, reply_seconds: float | None
) -> dict[str, float | None]:
    """Steps and seconds until the median alert, and the replies' share of wall time; `None` where not given."""
    per_look = None if steps is None else steps / looks
    until = None if per_look is None or plan.look_median is None else per_look * plan.look_median
    spent = None if reply_seconds is None else plan.replies * reply_seconds
    training = None if steps is None or step_seconds is None else steps * step_seconds
    return {
        "steps_until_alert": until,
        "seconds_until_alert": None if until is None or step_seconds is None else until * step_seconds,
        "reply_seconds": spent,
        "ahead_seconds": None if reply_seconds is None else plan.ahead * reply_seconds,
        "overhead_ratio": None if spent is None or training is None else spent / (training + spent),
    }


def _print(plan: Plan, time: dict[str, float | None], *, effect: float, looks: int, alpha: float, topics: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{topics} value topics, {looks} observations, at most {alpha:g} of such runs raise any false alert")
    if plan.draws_median is None:
        console.print(f"a flip of {effect:g} is never found: it shows as {plan.seen:.3f}, and an alert needs 0.05")
    else:
        console.print(
            f"a flip of {effect:g} on one topic shows as {plan.seen:.3f} and is an alert after {plan.draws_median} "
            f"draws on it in half of the runs, {plan.draws_likely} in nine of ten"
        )
        late = "" if plan.look_unwatched is not None and plan.look_unwatched <= looks else ", after the run"
        console.print(
            f"median observation {plan.look_median} once the screen watches it, {plan.look_unwatched} if nothing "
            f"does{late}"
        )
    console.print(f"{plan.replies:,} replies by the end where nothing is watched, half of them of the baseline model")
    console.print(
        f"{plan.ahead:,} of the baseline model are decoded before the first step where it cannot be asked later (every "
        f"weight is trained): for {horizon(looks)} observations, the planned ones and half as many again"
    )
    words = {
        "steps_until_alert": "steps until the median alert: {:,.0f}",
        "seconds_until_alert": "seconds until the median alert: {:,.0f}",
        "reply_seconds": "seconds spent on replies: {:,.0f}",
        "ahead_seconds": "seconds of decoding ahead, where that is needed: {:,.0f}",
        "overhead_ratio": "share of wall time spent on replies: {:.1%}",
    }
    for key, text in words.items():
        value = time[key]
        if value is not None:
            console.print(text.format(value))
    table = Table(
        "look",
        "watched since observation 2",
        "never watched",
        title="Smallest flip at observation 1 found in nine of ten runs",
    )
    for look, found in plan.detectable.items():
        table.add_row(str(look), *("none" if value is None else f"{value:.2f}" for value in found))
    console.print(table)
