"""The health dashboard: whether observations happen, what they cost, and whether their figures can be believed."""

from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config, duration
from driftwatch.monitoring.dashboards import frame
from driftwatch.monitoring.dashboards.frame import RUNS
from driftwatch.monitoring.dashboards.panels import Panel, row, targets, timeseries
from driftwatch.record import metrics as m

_NO_RUN = "No run is exported to this Prometheus in this time range. Is the trainer a target, and is it up?"


def health_dashboard(config: Config) -> dict[str, Any]:
    """The health dashboard as a document."""
    return frame.dashboard(
        config,
        "health",
        "Health",
        "The watching itself: cost, failures, staleness, validity.",
        [
            row("Does it happen?"),
            *_life(config),
            row("What fails?"),
            *_failures(config),
            row("What does it cost?"),
            *_cost(config),
            row("Are its figures to be believed?"),
            *_validity(config),
        ],
        [frame.run_variable(config, several=True)],
        [frame.alert_annotation(config, RUNS)],
    )


def _life(config: Config) -> list[Panel]:
    limits = config.thresholds
    return [
        timeseries(
            "Since the last observation",
            f"Above the line, {duration(limits.stale_seconds)}, an alert is raised while the trainer lives.",
            targets((q.seconds_since(config, m.LAST_OBSERVATION, RUNS), "{{run}}")),
            unit="s",
            empty=_NO_RUN,
            lines=(limits.stale_seconds,),
            limits=(0, None),
            width=8,
            stepped=False,
        ),
        timeseries(
            "Since the last sign of life",
            "A trainer gives one every 15 s, also while it measures nothing. Above the line the run counts as crashed.",
            targets((q.seconds_since(config, m.HEARTBEAT, RUNS), "{{run}}")),
            unit="s",
            empty=_NO_RUN,
            lines=(limits.silent_seconds,),
            limits=(0, None),
            width=8,
            stepped=False,
        ),
        timeseries(
            "Step at the last observation",
            "How training gets on, as far as observations show it; it falls when a run goes on from an earlier "
            "checkpoint.",
            targets((q.one(config, m.OBSERVED_STEP, RUNS), "{{run}}")),
            unit="none",
            empty=_NO_RUN,
            width=8,
        ),
        timeseries(
            "Models that are finite",
            "1 while weights and logits are finite, 0 from the observation that found them not finite or beyond all "
            "measure; an alert is raised at once.",
            targets((q.by("run", q.series(config, m.MODEL_FINITE, RUNS), "min"), "{{run}}")),
            unit="none",
            empty=_NO_RUN,
            limits=(0, 1),
        ),
        timeseries(
            "Not finite since step",
            "The step of the observation that found it first.",
            targets((q.by("run", q.series(config, m.NOT_FINITE_SINCE, RUNS), "min"), "{{run}}")),
            unit="none",
            empty="Every model is finite.",
        ),
    ]


def _failures(config: Config) -> list[Panel]:
    limits = config.thresholds
    window = duration(limits.failure_seconds)

    def added(metric: m.Metric, labels: str) -> str:
        now = q.by(labels, q.series(config, metric, RUNS))
        before = q.by(labels, f"{q.series(config, metric, RUNS)} offset {window}")
        return f"{now} - ({before} or {now} * 0)"

    return [
        timeseries(
            f"Failed observations in {window}",
            "Observations, or parts of observations, by probe and kind of reason; the records and the trainer's log "
            "say more. Above the line an alert is raised.",
            targets((added(m.PROBE_FAILURES, "run, probe, reason"), "{{run}}: {{probe}}, {{reason}}")),
            unit="none",
            empty="No observation has failed.",
            lines=(limits.failures,),
            limits=(0, None),
        ),
        timeseries(
            f"Undelivered records in {window}",
            '"store" and "queue" mean that the run folder itself misses observations. Above the line an alert is '
            "raised.",
            targets((added(m.EXPORT_FAILURES, "run, exporter"), "{{run}}: {{exporter}}")),
            unit="none",
            empty="Every record was delivered.",
            lines=(limits.failures,),
            limits=(0, None),
        ),
    ]


def _cost(config: Config) -> list[Panel]:
    limits = config.thresholds
    return [
        timeseries(
            "Share of the wall time",
            "Since training began; the schedule's budget bounds it over the whole run, and early observations may "
            f"take some in advance. Above the line, {limits.overhead:.0%}, for an hour an alert is raised.",
            targets((q.one(config, m.OVERHEAD, RUNS), "{{run}}")),
            unit="percentunit",
            empty=_NO_RUN,
            lines=(limits.overhead,),
            limits=(0, None),
            width=8,
        ),
        timeseries(
            "Time of an observation, by stage",
            "Of the last observation: asking, replying, judging, calculating.",
            targets((q.one(config, m.DURATION, RUNS), "{{run}}: {{stage}}")),
            unit="s",
            empty=_NO_RUN,
            limits=(0, None),
            width=8,
        ),
        timeseries(
            "Tokens of an observation",
            "That the screen computed at the last observation; the budget makes it ask fewer items.",
            targets((q.one(config, m.TOKENS, RUNS), "{{run}}")),
            unit="short",
            empty=_NO_RUN,
            limits=(0, None),
            width=8,
        ),
    ]


def _validity(config: Config) -> list[Panel]:
    limits = config.thresholds
    return [
        timeseries(
            "Measurements that succeeded",
            "Least over the topics, by probe. Below the line an alert is raised for the topic.",
            targets((q.by("run, probe", q.series(config, m.COVERAGE, RUNS), "min"), "{{run}}: {{probe}}")),
            unit="percentunit",
            empty=_NO_RUN,
            lines=(limits.coverage,),
            limits=(0, 1),
            width=8,
        ),
        timeseries(
            "Items without a figure",
            "Over all topics, at the last observation.",
            targets(
                (
                    q.by("run, probe", q.one(config, m.UNSCORED, RUNS), "sum"),
                    "{{run}}: {{probe}}",
                )
            ),
            unit="none",
            empty=_NO_RUN,
            limits=(0, None),
            width=8,
        ),
        timeseries(
            "Screen against judged replies",
            "Correlation over the items. Below the line the screen's curves do not tell what the model would answer.",
            targets((q.one(config, m.AGREEMENT, RUNS), "{{run}}: {{probe}}")),
            unit="none",
            empty="Not measured: it needs judged replies.",
            lines=(limits.agreement,),
            limits=(-1, 1),
            width=8,
        ),
        timeseries(
            "Floors of the score shift",
            "Largest shift that means nothing; numeric: the same model asked twice, placebo: the controls' largest, "
            "judge: the same replies read twice.",
            targets((q.one(config, m.FLOOR, RUNS), "{{run}}: {{probe}}, {{kind}}")),
            unit="none",
            empty="Not measured: the screen gives log-odds only, or the pack has no controls.",
            limits=(0, None),
        ),
        timeseries(
            "Floors of the log-odds shift",
            "The same for the screen's log-odds, nats per token.",
            targets((q.one(config, m.FLOOR_LOG_ODDS, RUNS), "{{run}}: {{probe}}, {{kind}}")),
            unit="none",
            empty="Not measured by these probes.",
            limits=(0, None),
        ),
        timeseries(
            "Replies of the baseline that are left",
            "Of those decoded ahead, on the topic that has fewest. At 0 an alert is raised: its evidence is frozen.",
            targets((q.by("run", q.one(config, m.REPLIES_LEFT, RUNS), "min"), "{{run}}")),
            unit="none",
            empty="None are decoded ahead: the baseline model is asked on demand, or no replies are drawn.",
            limits=(0, None),
        ),
        timeseries(
            "Refusals",
            "Share of the sampled replies that refuse, mean over topics.",
            targets((q.by("run", q.one(config, m.REFUSAL, RUNS), "avg"), "{{run}}")),
            unit="percentunit",
            empty="No sampled replies.",
            limits=(0, 1),
            width=8,
        ),
        timeseries(
            "Unclassified replies",
            "Share of the sampled replies without a readable stance, refusals apart, mean over topics: a judge that "
            "reads too little finds too little.",
            targets((q.by("run", q.one(config, m.UNREAD, RUNS), "avg"), "{{run}}")),
            unit="percentunit",
            empty="No sampled replies.",
            limits=(0, 1),
            width=8,
        ),
        timeseries(
            "Naysaying",
            "Probability of disagreeing with either side of a claim, mean over topics.",
            targets((q.by("run", q.one(config, m.NAYSAYING, RUNS), "avg"), "{{run}}")),
            unit="percentunit",
            empty="No agree-or-disagree questions.",
            limits=(0, 1),
            width=8,
        ),
    ]
