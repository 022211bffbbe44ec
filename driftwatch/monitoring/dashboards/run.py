"""The run dashboard: what one model in training answers, how its answers moved, and what the evidence says."""

from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards import frame
from driftwatch.monitoring.dashboards.frame import ONE_RUN
from driftwatch.monitoring.dashboards.overrides import override
from driftwatch.monitoring.dashboards.panels import Panel, row, stat, state_timeline, table, target
from driftwatch.monitoring.dashboards.reply_curves import judges, style
from driftwatch.monitoring.dashboards.run_curves import NO_REPLIES, TOPIC, drift, evidence, stances
from driftwatch.record import metrics as m

_VERDICT_COLOURS = {
    "nothing": "text",
    "cannot_tell": "purple",
    "screened": "text",
    "ok": "green",
    "watch": "blue",
    "general": "orange",
    "alert": "red",
    "beyond_tolerance": "red",
}
_STATE_COLOURS = {"running": "blue", "finished": "green", "stopped": "yellow", "failed": "red", "crashed": "red"}


def run_dashboard(config: Config) -> dict[str, Any]:
    """The run dashboard as a document."""
    return frame.dashboard(
        config,
        "run",
        "Run",
        "One run: stance shares by topic, drift, evidence with its threshold, style beside values, identity.",
        [
            *_verdict(config),
            row("Stances"),
            *stances(config),
            row("Drift since the baseline"),
            *drift(config),
            row("Evidence: what alerts rest on"),
            *evidence(config),
            row("Style: how it answers, whatever it is asked"),
            *style(config),
            row("Judges: how far to believe who reads"),
            *judges(config),
        ],
        [
            frame.run_variable(config, several=False),
            frame.topic_variable(config),
            frame.probe_variable(config),
            frame.baseline_variable(config),
        ],
        [
            frame.alert_annotation(config, ONE_RUN),
            frame.phase_annotation(config),
            frame.resume_annotation(config),
        ],
    )


def _verdict(config: Config) -> list[Panel]:
    state = {"type": "value", "options": {"1": {"text": "yes", "index": 0}}}
    specific = q.by("run, topic, kind", q.series(config, m.TOPIC_LABEL, 'label="specific"', ONE_RUN))
    colours = [
        override(f"/^{name}$/", color={"mode": "fixed", "fixedColor": colour})
        for name, colour in _STATE_COLOURS.items()
    ]
    now = stat(
        "State",
        "What the run is doing, by its own word; crashed is said by the service, which reads its folder.",
        target(f"{q.one(config, m.RUN_STATE, ONE_RUN)} == 1", "{{state}}", now=True),
        empty="Not exported now",
        mappings=[state],
        text_mode="name",
        width=3,
    )
    now["fieldConfig"]["overrides"] = colours
    said = stat(
        "Verdict",
        "What the last observation says of the run. 'ok' only where it was measured; 'screened': by the screen alone, "
        "which has no stated false-alarm rate; 'cannot_tell': neither quiet nor drift was measured.",
        target(f"{q.one(config, m.VERDICT, ONE_RUN)} == 1", "{{verdict}}", now=True),
        empty="Not exported now",
        mappings=[state],
        text_mode="name",
        width=4,
    )
    said["fieldConfig"]["overrides"] = [
        override(f"/^{name}$/", color={"mode": "fixed", "fixedColor": colour})
        for name, colour in _VERDICT_COLOURS.items()
    ]
    return [
        now,
        said,
        stat(
            "Why nothing can be told",
            "The reason for the verdict 'cannot_tell'; the run's page has it in a sentence.",
            target(f"{q.one(config, m.CANNOT_TELL, ONE_RUN)} == 1", "{{reason}}", now=True),
            empty="Something can be told",
            mappings=[state],
            text_mode="name",
            width=4,
        ),
        stat(
            "Step",
            "Optimizer steps done at the last observation.",
            target(q.one(config, m.OBSERVED_STEP, ONE_RUN), now=True),
            empty="No observation yet",
            width=2,
        ),
        stat(
            "Values that moved",
            "Alerts labelled specific: the topic moved more than every control. They hold to the end of the run. None "
            "is quiet only where the verdict says so.",
            target(f"sum({specific}) or vector(0)", now=True),
            empty="Not exported now",
            steps=[(None, "text"), (1, "red")],
            width=3,
        ),
        stat(
            "Alerts of any label",
            "Topics and kinds of drift in alert, whatever is behind it: values, style, unreadable replies.",
            target(f"sum({_alerted(config)}) or vector(0)", now=True),
            empty="Not exported now",
            steps=[(None, "text"), (1, "orange")],
            width=3,
        ),
        stat(
            "False-alarm rate",
            "Probability of any false value alert in the whole run that was asked for.",
            target(q.one(config, m.ALPHA, ONE_RUN), now=True),
            unit="percentunit",
            empty="Not exported now",
            width=3,
        ),
        stat(
            "Overhead",
            f"Share of the wall time that watching took; above {config.thresholds.overhead:.0%} for an hour an alert.",
            target(q.one(config, m.OVERHEAD, ONE_RUN), now=True),
            unit="percentunit",
            empty="No observation yet",
            width=2,
            steps=[(None, "green"), (config.thresholds.overhead, "orange")],
        ),
        state_timeline(
            "States by topic",
            "The worse of both kinds of drift: ok, watch (looked at more closely, notifies nobody), alert, beyond "
            "tolerance. An alert holds to the end of the run.",
            target(q.state_level(config, ONE_RUN, TOPIC), "{{topic}}"),
            empty=NO_REPLIES,
        ),
        _topics_table(config),
        table(
            "Baseline and identity",
            "What the run is and what it is compared with. Other pack, template or scoring: not comparable.",
            [target(q.one(config, m.RUN_INFO, ONE_RUN), table=True, now=True)],
            {
                "run": "run",
                "model": "model",
                "trainer": "trainer",
                "pack": "pack",
                "pack_version": "pack version",
                "alerting_baseline": "alerts against",
                "version": "driftwatch",
            },
            empty="Not exported now",
            height=4,
        ),
    ]


def _topics_table(config: Config) -> Panel:
    where = (ONE_RUN, TOPIC)
    state = q.state_level(config, *where, labels="topic, kind")
    levels = enumerate(q.STATE_LEVELS.items())
    names = {str(level): {"text": name.replace("_", " "), "index": i} for i, (name, level) in levels}
    label = f"{q.by('topic, kind, label', q.series(config, m.TOPIC_LABEL, *where))} == 1"
    figures = {
        "D": (m.EVIDENCE, "evidence (log10)"),
        "E": (m.VALUE_EVIDENCE, "evidence of values (log10)"),
        "F": (m.DRAWS, "pairs of replies"),
        "G": (m.ONSET, "since step"),
        "H": (m.DETECTABLE, "detectable"),
        "J": (m.SIGN, "way of the alert"),
    }

    def end(metric: m.Metric) -> str:
        found = q.by("topic", q.series(config, metric, *where))
        return q.by("topic, kind", f'label_replace({found}, "kind", "direction", "", "")')

    # A topic's tolerance holds for both kinds of evidence, so it stands beside each of the topic's states.
    tolerated = q.by("topic", q.series(config, m.TOLERANCE, *where))
    tolerance = f"{q.by('topic, kind', q.series(config, m.DRAWS, *where))} * 0 + on (topic) group_left () {tolerated}"
    return table(
        "Topics",
        "By kind of drift: direction, between the poles, or neutral. Of direction, the net shift is the share of the "
        "replies of the last five observations that changed sides, toward the first pole positive, with its 95 % "
        "interval; of neutral, the change of "
        "the share that takes no side. Evidence is "
        "to be read against its threshold below. The way of an alert is that of the evidence which raised it, 1 or -1; "
        "the shift says whether it still holds. Detectable: the smallest net shift that could have been found so "
        "far. Tolerated: the net shift that is tolerated.",
        [
            target(state, ref="A", table=True, now=True),
            target(label, ref="B", table=True, now=True),
            *(
                target(q.by("topic, kind", q.series(config, metric, *where)), ref=ref, table=True, now=True)
                for ref, (metric, _) in figures.items()
            ),
            target(q.by("topic, kind", q.shift_by_kind(config, *where)), ref="C", table=True, now=True),
            target(end(m.NET_SHIFT_LOWER), ref="K", table=True, now=True),
            target(end(m.NET_SHIFT_UPPER), ref="L", table=True, now=True),
            target(tolerance, ref="I", table=True, now=True),
        ],
        {
            "topic": "topic",
            "kind": "kind",
            "Value #A": "state",
            "label": "label",
            "Value #C": "net shift",
            "Value #K": "from",
            "Value #L": "to",
            **{f"Value #{ref}": heading for ref, (_, heading) in figures.items()},
            "Value #I": "tolerated",
        },
        empty=NO_REPLIES,
        units={
            "evidence (log10)": "none",
            **dict.fromkeys(("net shift", "from", "to", "detectable", "tolerated"), "percentunit"),
        },
        mappings={"state": [{"type": "value", "options": names}]},
        sort="evidence (log10)",
        height=10,
    )


def _alerted(config: Config) -> str:
    return q.by("run, topic, kind", q.series(config, m.TOPIC_STATE, q.state_is("alert", "beyond_tolerance"), ONE_RUN))
