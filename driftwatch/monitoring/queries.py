"""Functions that write PromQL over the metric catalogue; rules and panels hold no metric name of their own.

A run can be exported twice, by its trainer and by `driftwatch serve`. So every query first aggregates its series to the
labels that the metric is about. Runs are told apart by their names.
"""

import re

from driftwatch.monitoring.config import Config
from driftwatch.record import metrics as m
from driftwatch.record.metrics import Metric

_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*["$]')
STATE_LEVELS = {"ok": 0, "cannot_tell": 0.25, "ended": 0.5, "watch": 1, "alert": 2, "beyond_tolerance": 3}
ENDED = "finished|stopped|failed|crashed"


def series(config: Config, metric: Metric, *matchers: str) -> str:
    """A selector of one metric.

    Args:
        config: Settings, whose selector is added.
        metric: A metric of the catalogue.
        matchers: Matchers as in PromQL, for example `state="running"`; their labels must be labels of the metric.
    """
    own = ("run", *metric.labels)
    for matcher in matchers:
        for label in _LABEL.findall(matcher):
            assert label in own, f"{metric.name} has no label {label}; labels: {own}"
    parts = [part for part in (config.selector.strip(), *matchers) if part]
    return f"{metric.name}{{{','.join(parts)}}}" if parts else metric.name


def by(labels: str, expression: str, operation: str = "max") -> str:
    """An aggregation, for example `max by (run) (…)`, in which a run that is exported twice counts once."""
    return f"{operation} by ({labels}) ({expression})"


def one(config: Config, metric: Metric, *matchers: str) -> str:
    """A metric aggregated to `run` and its own labels, whoever exports it."""
    return by(", ".join(("run", *metric.labels)), series(config, metric, *matchers))


def poles(config: Config, *matchers: str) -> str:
    """The value 1 for each topic, labelled with its poles and whether it is a control; for joins on (run, topic)."""
    return by("run, topic, support, oppose, control", series(config, m.TOPIC_INFO, *matchers))


def alerting_baseline(config: Config, *matchers: str) -> str:
    """The value 1 for each run, with its alerting baseline as the label `baseline`; for joins on (run, baseline)."""
    info = series(config, m.RUN_INFO, *matchers)
    return by("run, baseline", f'label_replace({info}, "baseline", "$1", "alerting_baseline", "(.+)")')


def at_alerting_baseline(config: Config, metric: Metric, *matchers: str) -> str:
    """A drift metric against the baseline that alerts rest on, without the label `baseline`."""
    runs = [matcher for matcher in matchers if matcher.startswith("run")]
    labels = ", ".join(label for label in ("run", *metric.labels) if label != "baseline")
    return by(
        labels,
        f"{series(config, metric, *matchers)} and on (run, baseline) {alerting_baseline(config, *runs)}",
    )


def net_shift(config: Config, *matchers: str) -> str:
    """The net shift by run and topic; replies are compared only with the baseline that alerts rest on."""
    return by("run, topic", series(config, m.NET_SHIFT, *matchers))


def shift_by_kind(config: Config, *matchers: str) -> str:
    """The shift by run, topic and kind: the net shift, or for "neutral" the change of the share that takes no side."""
    neutral = by("run, topic", series(config, m.MAGNITUDE, *matchers, 'probe="confirm"', 'stance="neutral"'))
    return (
        f'label_replace({net_shift(config, *matchers)}, "kind", "direction", "", "") or '
        f'label_replace({neutral}, "kind", "neutral", "", "")'
    )


def seconds_since(config: Config, metric: Metric, *matchers: str) -> str:
    """Seconds since the latest of a run's timestamps."""
    return f"time() - {by('run', series(config, metric, *matchers))}"


def score(config: Config, *matchers: str) -> str:
    """P(support) - P(oppose) now, by run, topic and probe."""
    support = by("run, topic, probe", series(config, m.STANCE, 'stance="support"', *matchers))
    oppose = by("run, topic, probe", series(config, m.STANCE, 'stance="oppose"', *matchers))
    return f"{support} - {oppose}"


def change_of_score(config: Config, *matchers: str) -> str:
    """The change of the score since the alerting baseline, from the changes of both shares."""
    support, oppose = (
        by("run, topic, probe", at_alerting_baseline(config, m.MAGNITUDE, f'stance="{stance}"', *matchers))
        for stance in ("support", "oppose")
    )
    return f"{support} - {oppose}"


def state_level(config: Config, *matchers: str, labels: str = "run, topic") -> str:
    """The worst state of a topic over its kinds: 0 ok, 0.25 cannot tell, 0.5 ended, 1 watch, 2 alert, 3 beyond."""
    level = " or ".join(
        f"{by('run, topic, kind', series(config, m.TOPIC_STATE, state_is(state), *matchers))} * {level} > 0"
        for state, level in reversed(STATE_LEVELS.items())
        if level
    )
    ok = by("run, topic, kind", series(config, m.TOPIC_STATE, state_is("ok"), *matchers))
    return by(labels, f"{level} or {ok} * 0")


def state_is(*states: str) -> str:
    """A matcher for one or several states."""
    return f'state="{states[0]}"' if len(states) == 1 else f'state=~"{"|".join(states)}"'


def looked(config: Config, *matchers: str) -> str:
    """The step of a run, only at moments just after an observation, for curves over steps instead of time.

    It works at any resolution: a moment counts if the step differs from the step one interval before.
    """
    step = by("run", series(config, m.OBSERVED_STEP, *matchers))
    before = by("run", f"{series(config, m.OBSERVED_STEP, *matchers)} offset $__interval")
    return f"({step} != {before}) or ({step} unless {before})"
