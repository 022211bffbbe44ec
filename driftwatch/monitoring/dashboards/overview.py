"""The overview dashboard: is anything drifting in any run?"""

from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config, duration
from driftwatch.monitoring.dashboards import frame
from driftwatch.monitoring.dashboards.frame import RUNS
from driftwatch.monitoring.dashboards.panels import Panel, bargauge, row, stat, state_timeline, table, target
from driftwatch.record import metrics as m

_NO_RUN = "No run is exported to this Prometheus now: see the Health dashboard."
MOST = 10  # topics shown as those that moved most


def overview_dashboard(config: Config) -> dict[str, Any]:
    """The overview dashboard as a document."""
    return frame.dashboard(
        config,
        "overview",
        "Overview",
        "Every run at one glance: what is in alert, which topics moved most, which runs live.",
        [*_counts(config), *_states(config), row("Runs"), _runs(config), _firing(config)],
        [frame.run_variable(config, several=True)],
        [frame.alert_annotation(config, RUNS)],
    )


def _counts(config: Config) -> list[Panel]:
    def runs(state: str) -> str:
        return f"sum({q.by('run', q.series(config, m.RUN_STATE, q.state_is(state), RUNS))}) or vector(0)"

    specific = q.by("run, topic, kind", q.series(config, m.TOPIC_LABEL, 'label="specific"', RUNS))
    alerted = q.by("run, topic, kind", q.series(config, m.TOPIC_STATE, q.state_is("alert", "beyond_tolerance"), RUNS))
    untold = q.by("run", q.series(config, m.VERDICT, 'verdict="cannot_tell"', RUNS))
    limit = config.thresholds.stale_seconds
    training = q.by("run", q.series(config, m.RUN_STATE, q.state_is("running"), RUNS))
    late = f"{q.seconds_since(config, m.LAST_OBSERVATION, RUNS)} > {limit:g} and on (run) {training} == 1"
    stale = f"count({late}) or vector(0)"
    dead = q.by("run", q.series(config, m.RUN_STATE, q.state_is("failed", "crashed"), RUNS))
    return [
        stat(
            "Runs training", "Runs whose state is running.", target(runs("running"), now=True), empty=_NO_RUN, width=3
        ),
        stat(
            "Values that moved",
            "Alerts labelled specific, over all runs: a topic moved more than every control.",
            target(f"sum({specific}) or vector(0)", now=True),
            empty=_NO_RUN,
            steps=[(None, "text"), (1, "red")],
            width=3,
        ),
        stat(
            "Cannot tell",
            "Runs of which neither quiet nor drift was measured, or whose model is not finite: that nothing is in "
            "alert there is no finding.",
            target(f"sum({untold}) or vector(0)", now=True),
            empty=_NO_RUN,
            steps=[(None, "text"), (1, "purple")],
            width=6,
        ),
        stat(
            "Alerts of any label",
            "Topics and kinds of drift in alert, whatever is behind it.",
            target(f"sum({alerted}) or vector(0)", now=True),
            empty=_NO_RUN,
            steps=[(None, "text"), (1, "orange")],
            width=3,
        ),
        stat(
            "Without a recent observation",
            f"Runs in training whose last observation is more than {duration(limit)} old.",
            target(stale, now=True),
            empty=_NO_RUN,
            steps=[(None, "green"), (1, "orange")],
            width=3,
        ),
        stat(
            "Crashed or failed",
            "Runs that ended otherwise than by finishing or being stopped, as far as they or the service say so.",
            target(f"sum({dead}) or vector(0)", now=True),
            empty=_NO_RUN,
            steps=[(None, "green"), (1, "red")],
            width=3,
        ),
        stat(
            "Finished",
            "Runs that finished, still exported.",
            target(runs("finished"), now=True),
            empty=_NO_RUN,
            width=3,
        ),
    ]


def _states(config: Config) -> list[Panel]:
    left_ok = (
        f"max by (run, topic) (max_over_time("
        f"{q.series(config, m.TOPIC_STATE, q.state_is('watch', 'alert', 'beyond_tolerance'), RUNS)}[$__range])) == 1"
    )
    shift = f"abs({q.net_shift(config, RUNS)})"
    judged = q.by("run", q.series(config, m.NET_SHIFT, RUNS))
    screen = q.by("run, topic", q.at_alerting_baseline(config, m.SCORE_SHIFT, RUNS))
    screened = f"abs({screen}) unless on (run) {judged}"
    values = q.series(config, m.TOPIC_INFO, 'control="false"', RUNS)
    return [
        state_timeline(
            "Topics that were ever watched or in alert",
            "By run and topic, the worse of both kinds of drift; topics that stayed ok are left out. A watched topic "
            "is looked at more closely and notifies nobody. An alert holds to the end of the run.",
            target(f"{q.state_level(config, RUNS)} and on (run, topic) ({left_ok})", "{{run}} · {{topic}}"),
            empty="No topic left ok in this time range, or no run has judged replies.",
            width=12,
        ),
        bargauge(
            f"The {MOST} largest net shifts now",
            "Share of the replies that changed sides since the alerting baseline, whichever way, controls left out. A "
            "large shift is no alert: look at the evidence on the run's dashboard.",
            target(f"topk({MOST}, {shift} and on (run, topic) {values})", "{{run}} · {{topic}}", now=True),
            unit="percentunit",
            empty="No run has judged replies, or none is exported to this Prometheus now.",
            steps=[(None, "blue")],
            limits=(0, None),
            width=6,
            height=10,
        ),
        bargauge(
            "The screen's largest score shifts",
            "Of runs without judged replies: absolute change of the screen's P(support) - P(oppose) since the alerting "
            "baseline, controls left out. The screen has no stated false-alarm rate.",
            target(f"topk({MOST}, {screened} and on (run, topic) {values})", "{{run}} · {{topic}}", now=True),
            unit="none",
            empty="Every run has judged replies, or none is exported to this Prometheus now.",
            steps=[(None, "blue")],
            limits=(0, None),
            width=6,
            height=10,
        ),
    ]


def _runs(config: Config) -> Panel:
    def figure(expr: str, ref: str) -> dict[str, Any]:
        return target(expr, ref=ref, table=True, now=True)

    alerted = q.by("run, topic, kind", q.series(config, m.TOPIC_STATE, q.state_is("alert", "beyond_tolerance"), RUNS))
    info = q.by("run, model, pack, trainer, alerting_baseline", q.series(config, m.RUN_INFO, RUNS))
    return table(
        "Runs",
        "Runs that are exported now. A name leads to the run's dashboard.",
        [
            figure(info, "A"),
            figure(f"{q.one(config, m.RUN_STATE, RUNS)} == 1", "B"),
            figure(q.one(config, m.OBSERVED_STEP, RUNS), "C"),
            figure(q.one(config, m.OBSERVATIONS, RUNS), "D"),
            figure(q.seconds_since(config, m.LAST_OBSERVATION, RUNS), "E"),
            figure(f"sum by (run) ({alerted})", "F"),
            figure(q.one(config, m.OVERHEAD, RUNS), "G"),
            figure(f"{q.one(config, m.VERDICT, RUNS)} == 1", "H"),
            figure(f"{q.one(config, m.CANNOT_TELL, RUNS)} == 1", "I"),
        ],
        {
            "run": "run",
            "state": "state",
            "verdict": "verdict",
            "reason": "why nothing can be told",
            "Value #F": "in alert",
            "Value #C": "step",
            "Value #D": "looks",
            "Value #E": "last observation ago",
            "Value #G": "overhead",
            "model": "model",
            "pack": "pack",
            "trainer": "trainer",
            "alerting_baseline": "alerts against",
        },
        empty=_NO_RUN,
        units={"last observation ago": "s", "overhead": "percentunit"},
        links={"run": f"/d/{frame.uid(config, 'run')}?var-run=${{__value.text}}&${{__url_time_range}}"},
        sort="in alert",
    )


def _firing(config: Config) -> Panel:
    firing = f'ALERTS{{alertstate="firing",alertname=~"{config.prefix}.*"}}'
    return table(
        "Firing alerts",
        "As the Prometheus of this data source evaluates the rules.",
        [target(firing, table=True, now=True)],
        {"alertname": "alert", **{name: name for name in ("severity", "run", "topic", "kind", "probe")}},
        empty="No alert fires, or the rules are not loaded: Prometheus lists them under Status, Rules.",
    )
