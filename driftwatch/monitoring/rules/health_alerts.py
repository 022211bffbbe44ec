"""Alerts on the watching itself: whether observations happen, are valid and are cheap, and whether the run lives."""

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config, duration
from driftwatch.monitoring.rules import records as r
from driftwatch.monitoring.rules.alert import Alert, Fact
from driftwatch.monitoring.rules.run_states import active, alive, reported
from driftwatch.record import metrics as m

_ONE_TOPIC = 'topic!="all"'
_REASON = '{{ reReplaceAll "_" " " $labels.reason }}'


def validity_alerts(config: Config) -> list[Alert]:
    """Alerts on figures that should not be believed."""
    limits, running = config.thresholds, active(config)
    finite = q.by("run", q.series(config, m.MODEL_FINITE), "min")
    untold = q.one(config, m.CANNOT_TELL, 'reason!="not_finite"')
    return [
        Alert(
            "ModelNotFinite",
            "critical",
            f"{finite} == 0 {reported(config)}",
            summary="Run <run>: the model's weights or logits are not finite since step <since>",
            description="Since step <since> the answers of the model in run <run> are no finite numbers, or numbers "
            "beyond all measure, for half of what it is asked at least; the run is at step <step>. Nothing can be told "
            "of any topic, and every further step is lost.",
            facts={
                "since": Fact(q.by("run", q.series(config, m.NOT_FINITE_SINCE, "run=$run"), "min"), "count"),
                "step": Fact(f"max by (run) ({q.series(config, m.OBSERVED_STEP, 'run=$run')})", "count"),
            },
            page="health",
        ),
        Alert(
            "CannotTell",
            "info",
            f"{untold} == 1 {reported(config)}",
            hold=duration(limits.untold_seconds),
            summary=f"Run <run>: nothing can be told of its values ({_REASON})",
            description=f"For {duration(limits.untold_seconds)} the verdict on run <run> has been that nothing can be "
            f"told, for this reason: {_REASON}. That no alert fires is no sign that nothing moves. The run's page and "
            "`driftwatch runs show` have the reason in a sentence. Pairs of replies that were read of the topic with "
            "most: <draws>.",
            facts={
                "draws": Fact(
                    f"max by (run) ({q.series(config, m.DRAWS, 'run=$run', _ONE_TOPIC)})", "count", unknown="none"
                )
            },
            labels=("run", "reason"),
        ),
        Alert(
            "ProbeValidityLost",
            "warning",
            f"{r.COVERAGE} < {limits.coverage:g} {running}",
            summary="Run <run>: probe <probe> measures too little of <topic>",
            description='Only <covered> of the measurements behind the stance on <topic>, by "<probe>", '
            f"succeeded at the last observation (limit {limits.coverage:g}). The figures of this topic speak about "
            "what was left, which may be another kind of question.",
            facts={"covered": Fact(f"{r.COVERAGE}{{run=$run,topic=$topic,probe=$probe}}", "percent")},
            page="health",
            labels=("run", "topic", "probe"),
        ),
        Alert(
            "ScreenDisagrees",
            "info",
            f"{r.AGREEMENT} < {limits.agreement:g} {running}",
            summary="Run <run>: the screen no longer agrees with the judged replies",
            description='Over the items, the probe "<probe>" correlates <agreement> with what sampled replies say '
            f"(limit {limits.agreement:g}). Its curves no longer tell what the model would answer; drift alerts rest "
            "on the replies and stand.",
            facts={"agreement": Fact(f"{r.AGREEMENT}{{run=$run,probe=$probe}}", "signed")},
            page="health",
            labels=("run", "probe"),
        ),
    ]


def watching_alerts(config: Config) -> list[Alert]:
    """Alerts on observations that do not happen, that fail, that cannot be delivered or that cost too much."""
    limits, running = config.thresholds, active(config)
    window = duration(limits.failure_seconds)
    return [
        Alert(
            "BaselineRepliesUsedUp",
            "warning",
            f"max by (run, topic) ({q.series(config, m.REPLIES_LEFT)}) == 0 {running}",
            summary="Run <run>: nothing is watched any more on <topic>",
            description="All replies of the baseline on <topic> that were decoded ahead are used up, at step <step> of "
            "run <run>: its evidence is frozen, and no alert can come of it any more, whatever the model does. The "
            "screen goes on.",
            facts={"step": Fact(q.one(config, m.OBSERVED_STEP, "run=$run"), "count")},
            page="health",
            labels=("run", "topic"),
        ),
        Alert(
            "ObservationStale",
            "warning",
            f"{r.LOOK_AGE} > {limits.stale_seconds:g} {alive(config)}",
            summary="Run <run>: no observation for <age>, though the trainer lives",
            description="The last observation of run <run> was <age> ago, at step <step>, and its trainer still gives "
            "signs of life: training goes on unwatched, or hangs. What happens meanwhile is found at the next "
            f"observation at the earliest (limit {duration(limits.stale_seconds)}).",
            facts={
                "age": Fact(f"{r.LOOK_AGE}{{run=$run}}", "time"),
                "step": Fact(q.one(config, m.OBSERVED_STEP, "run=$run"), "count"),
            },
            page="health",
        ),
        Alert(
            "ProbeFailing",
            "warning",
            f"({_new(config, m.PROBE_FAILURES, 'run, probe, reason', window)}) > {limits.failures:g} {running}",
            summary="Run <run>: observations fail (<probe>, <reason>)",
            description=f'In the last {window} <value> observations, or parts of observations, by "<probe>" failed '
            "with <reason>. Training goes on; drift is not seen while observations fail. The trainer's log has the "
            "traceback, once a cause.",
            page="health",
            labels=("run", "probe", "reason"),
        ),
        Alert(
            "ExportFailing",
            "warning",
            f"({_new(config, m.EXPORT_FAILURES, 'run, exporter', window)}) > {limits.failures:g} {running}",
            summary="Run <run>: records cannot be delivered (<exporter>)",
            description=f'In the last {window} <value> records could not be delivered by "<exporter>". Training and '
            'observations go on. "store" and "queue" mean that the run folder itself misses observations; any other '
            "is a channel whose records can be read from the run folder.",
            page="health",
            labels=("run", "exporter"),
        ),
        Alert(
            "OverheadHigh",
            "warning",
            f"{r.OVERHEAD} > {limits.overhead:g} {alive(config)}",
            hold="1h",
            summary="Run <run>: watching takes <overhead> of the training time",
            description="For an hour, driftwatch has taken more than its share of run <run>'s wall time: <overhead> "
            f"since the beginning (limit {limits.overhead * 100:g} %). Early observations may take some in advance; "
            "for this long, observations cost more than the schedule expects.",
            facts={"overhead": Fact(f"{r.OVERHEAD}{{run=$run}}", "percent")},
            page="health",
        ),
    ]


def life_alerts(config: Config) -> list[Alert]:
    """Alerts on runs that died and on a service that nobody can reach."""
    limits = config.thresholds
    gone = duration(limits.gone_seconds)
    running = q.series(config, m.RUN_STATE, q.state_is("running"))
    known = q.by("run", q.series(config, m.RUN_STATE))
    died = q.by("run", q.series(config, m.RUN_STATE, 'state=~"failed|crashed"'))
    by_service = f"max_over_time({r.SERVED}[{gone}]) > 1"
    vanished = q.by("run", f"last_over_time({running}[{gone}]) == 1 unless on (job, instance) {by_service}")
    service = config.service_selector
    return [
        Alert(
            "RunCrashed",
            "warning",
            # There are three cases: the run, or the service that reads its folder, says that it died; its values stay
            # without signs of life; or it was scraped, did not say that it ended, and is gone. In the last case, runs
            # that a service exported do not count, since they vanish together with the service.
            f"({died} == 1 or ({r.RUNNING} == 1 and on (run) {r.SILENCE} > {limits.silent_seconds:g}) "
            f"or ({vanished} unless on (run) {known})) * 0 + 1 unless on (run) {r.SILENCE} > {limits.ended_seconds:g}",
            hold=duration(limits.away_seconds),
            summary="Run <run> died, or cannot be reached",
            description="Run <run> was training and did not end as finished or stopped: it reported a failure, its "
            f"trainer has given no sign of life for more than {duration(limits.silent_seconds)}, or its endpoint "
            "vanished. Step of the last observation: <step>. Everything up to then is in the run folder.",
            facts={
                "step": Fact(
                    f"max by (run) (last_over_time({q.series(config, m.OBSERVED_STEP, 'run=$run')}[{gone}]))", "count"
                )
            },
        ),
        Alert(
            "Down",
            "warning",
            f"max by (job, instance) (up{{{service}}}) == 0 "
            f"or (absent(up{{{service}}}) and on () count(last_over_time(up{{{service}}}[1d])) > 0)",
            hold="5m",
            summary="The driftwatch service cannot be scraped",
            description="Prometheus has not reached `driftwatch serve` ({{ $labels.job }} {{ $labels.instance }}) for "
            "5 minutes, or no longer has it as a target. No drift alert can fire for the runs that it serves; trainers "
            "go on and keep their records in their run folders.",
            page="overview",
            labels=(),
        ),
    ]


def _new(config: Config, counter: m.Metric, labels: str, window: str) -> str:
    """How much a counter rose in a window; `increase` would miss the value with which a new series begins."""
    now = q.by(labels, q.series(config, counter))
    before = q.by(labels, f"{q.series(config, counter)} offset {window}")
    return f"{now} - ({before} or {now} * 0)"
