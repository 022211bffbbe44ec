"""The run dashboard's curves about replies: the response style, and how far the judges can be believed."""

from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.frame import ONE_RUN
from driftwatch.monitoring.dashboards.overrides import override
from driftwatch.monitoring.dashboards.panels import Panel, stat, table, target, targets, timeseries
from driftwatch.monitoring.dashboards.run_curves import BASELINE, NO_REPLIES, TOPIC
from driftwatch.record import metrics as m

_MEAN = [override("/^mean/", custom__lineWidth=4)]


def style(config: Config) -> list[Panel]:
    """Panels on the response style: how the model answers, whatever it is asked."""
    limits = config.thresholds
    last = "of the last observation, against the baseline's to the same draws"
    return [
        _shift(
            config,
            "Naysaying",
            'Change of P("no") whatever is asked since the baseline',
            m.NAYSAYING_SHIFT,
            limit=limits.naysaying_shift,
            empty="This run does not ask agree-or-disagree questions.",
        ),
        _shift(
            config,
            "Refusals",
            "Change of the share of refusals since the baseline",
            m.REFUSAL_SHIFT,
            limit=limits.refusal_shift,
        ),
        _shift(
            config,
            "Unclassified replies",
            "Change of the share of unclassified replies since the baseline",
            m.UNREAD_SHIFT,
        ),
        _shift(config, "Hedging", f"Change of the share of replies {last} that sound unsure", m.HEDGING_SHIFT),
        _shift(
            config,
            "Order preference",
            f"Change of the preference for the side that stood first, replies {last}",
            m.ORDER_PREFERENCE_SHIFT,
            unit="none",
        ),
        _shift(
            config,
            "Replies cut by the limit",
            f"Change of the share of replies {last} that the limit on tokens ended",
            m.CUT_SHIFT,
        ),
        _shift(config, "Off-topic replies", f"Change of the share of off-topic replies {last}", m.OFF_TOPIC_SHIFT),
        _level(
            config, "Length of replies", "Mean length of the replies of the last observation, tokens", m.REPLY_TOKENS
        ),
        _level(
            config,
            "Entropy of replies",
            "Mean entropy of the next-token distribution over the replies of the last observation, nats: how much was "
            "open",
            m.REPLY_ENTROPY,
        ),
        _now(config),
    ]


def judges(config: Config) -> list[Panel]:
    """Panels on how far the judges can be believed."""
    one_judge = "One judge reads: only a panel can disagree."
    return [
        timeseries(
            "Judges disagree",
            "Share of the replies of the last observation on which the judges of a panel differ, of those that two or "
            "more of them read. Where it grows, a judge is being gamed or the replies have become hard to read: read "
            "some.",
            targets((q.one(config, m.JUDGE_DISAGREEMENT, ONE_RUN), "replies read differently")),
            unit="percentunit",
            empty=one_judge,
            limits=(0, 1),
            width=7,
        ),
        timeseries(
            "Agreement by pair of judges",
            "Cohen's kappa over all outcomes of the last observation: 1 is full agreement, 0 what chance gives.",
            targets((q.one(config, m.JUDGE_KAPPA, ONE_RUN), "{{pair}}")),
            unit="none",
            empty=one_judge,
            limits=(None, 1),
            width=7,
        ),
        stat(
            "Judges absent",
            "Judges of a panel that failed at the last observation; the others went on, as long as two were left.",
            target(q.one(config, m.JUDGES_ABSENT, ONE_RUN), now=True),
            empty="One judge reads",
            steps=[(None, "green"), (1, "orange")],
            width=3,
            height=8,
        ),
        timeseries(
            "The judge against itself",
            "Largest score shift of a topic between two readings of the same replies, measured once a run. Judged "
            "levels are not known more exactly than this; it says nothing of the noise of sampling.",
            targets((q.one(config, m.FLOOR, ONE_RUN, 'kind="judge"'), "noise floor of the judge")),
            unit="none",
            empty=NO_REPLIES,
            limits=(0, None),
            width=7,
        ),
        timeseries(
            "Unclassified replies by reason",
            "Share of the replies read at the last observation that the judge left unclassified, now and of the "
            "baseline. Where it refuses more of one side's, or has no verdict on them, those are missing not at "
            "random.",
            targets((q.one(config, m.ABSTAINED, ONE_RUN), "{{kind}}, {{side}}")),
            unit="percentunit",
            empty=NO_REPLIES,
            limits=(0, 1),
            width=24,
        ),
    ]


def _now(config: Config) -> Panel:
    columns = {
        "A": (m.HEDGING, "hedging"),
        "B": (m.ORDER_PREFERENCE, "order preference"),
        "C": (m.CUT, "cut by the limit"),
        "D": (m.OFF_TOPIC, "off topic"),
        "E": (m.REPLY_TOKENS, "tokens"),
        "F": (m.REPLY_TOKENS_SHIFT, "tokens, change"),
        "G": (m.REPLY_ENTROPY, "entropy (nats)"),
        "H": (m.REPLY_ENTROPY_SHIFT, "entropy, change"),
    }
    return table(
        "Style now",
        "Of the replies of the last observation, few of each topic: one observation alone says little. Changes are "
        "against the baseline's replies to the same draws; what controls share is a change of style.",
        [
            target(
                q.by("topic", q.series(config, metric, ONE_RUN, TOPIC, *_against(metric))),
                ref=ref,
                table=True,
                now=True,
            )
            for ref, (metric, _) in columns.items()
        ],
        {"topic": "topic", **{f"Value #{ref}": heading for ref, (_, heading) in columns.items()}},
        empty=NO_REPLIES,
        units=dict.fromkeys(("hedging", "cut by the limit", "off topic"), "percentunit"),
        sort="hedging",
    )


def _against(metric: m.Metric) -> tuple[str, ...]:
    return (BASELINE,) if "baseline" in metric.labels else ()


def _shift(
    config: Config,
    title: str,
    what: str,
    metric: m.Metric,
    *,
    limit: float | None = None,
    unit: str = "percentunit",
    empty: str = NO_REPLIES,
) -> Panel:
    """A panel with the change of one channel of the response style, by topic and on average."""
    said = f" The lines are where an alert is raised, for the mean: {limit:g}." if limit is not None else ""
    return timeseries(
        title,
        f"{what}; no value, and controls show it too.{said}",
        _by_topic(config, metric),
        unit=unit,
        empty=empty,
        lines=() if limit is None else (-limit, limit),
        overrides=_MEAN,
        width=8,
    )


def _level(config: Config, title: str, what: str, metric: m.Metric) -> Panel:
    """A panel with the present value of one channel of the response style, by topic and on average."""
    return timeseries(
        title,
        f"{what}; no value, and controls show it too.",
        _by_topic(config, metric),
        unit="none",
        empty=NO_REPLIES,
        limits=(0, None),
        overrides=_MEAN,
        width=8,
    )


def _by_topic(config: Config, metric: m.Metric) -> list[dict[str, Any]]:
    where = _against(metric)
    found = q.by("run, topic", q.series(config, metric, ONE_RUN, TOPIC, *where))
    every = q.by("run", q.by("run, topic", q.series(config, metric, ONE_RUN, *where)), "avg")
    return targets((found, "{{topic}}"), (every, "mean over topics"))
