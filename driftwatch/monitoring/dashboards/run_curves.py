"""The run dashboard's curves of stances, drift and evidence, over time and over steps."""

from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.frame import ONE_RUN
from driftwatch.monitoring.dashboards.overrides import band, override
from driftwatch.monitoring.dashboards.panels import Panel, table, target, targets, timeseries, trend
from driftwatch.record import metrics as m

TOPIC, _PROBE, BASELINE = 'topic=~"$topic"', 'probe="$probe"', 'baseline="$baseline"'
NO_REPLIES = "No judged replies: evidence needs a judge. Without one, states stop at watch."
_NO_SCREEN = 'Judged replies have the net shift: choose the probe "statement".'
_NO_LOOK = "No observation yet, or the run has ended and is no longer exported: widen the time range."


def stances(config: Config) -> list[Panel]:
    """Panels with the shares of the stances, one panel per topic."""

    def shares(metric: m.Metric, stance: str, *pole: str) -> str:
        found = q.one(config, metric, ONE_RUN, 'topic="$topic"', _PROBE, f'stance="{stance}"')
        if not pole:
            return found
        named = q.by(f"run, topic, {pole[0]}", q.series(config, m.TOPIC_INFO, ONE_RUN, 'topic="$topic"'))
        return f"{found} * on (run, topic) group_left ({pole[0]}) {named}"

    queries = targets(
        (shares(m.STANCE, "support", "support"), "toward {{support}}"),
        (shares(m.STANCE, "neutral"), "no side"),
        (shares(m.STANCE, "oppose", "oppose"), "toward {{oppose}}"),
        *((shares(m.STANCE_LOWER, stance), f"{stance} lower") for stance in ("support", "oppose")),
        *((shares(m.STANCE_UPPER, stance), f"{stance} upper") for stance in ("support", "oppose")),
    )
    edges = [edge for stance in ("support", "oppose") for edge in band(f"{stance} lower", f"{stance} upper")]
    return [
        timeseries(
            "$topic",
            "Shares of the stances, by the poles' names, with 95 % intervals over the items: bands are about which "
            "questions could have been asked, not about the noise of this measurement.",
            queries,
            unit="percentunit",
            empty=_NO_LOOK,
            limits=(0, 1),
            overrides=edges,
            width=8,
            repeat="topic",
            repeatDirection="h",
            maxPerRow=3,
        )
    ]


def drift(config: Config) -> list[Panel]:
    """Panels on how far each topic is from the baseline."""
    where = (ONE_RUN, TOPIC, _PROBE, BASELINE)
    looked = q.looked(config, ONE_RUN)
    controls = [override("/control/", custom__lineStyle={"fill": "dash", "dash": [6, 6]})]
    net = q.by("run, topic", q.series(config, m.NET_SHIFT, ONE_RUN, TOPIC, BASELINE))
    shift = q.by("run, topic", q.series(config, m.SCORE_SHIFT, *where))
    odds = q.by("run, topic", q.series(config, m.LOG_ODDS_SHIFT, *where))
    size = q.by("run, topic", q.series(config, m.TOTAL_VARIATION, *where))
    magnitude = q.by("run, topic, stance", q.series(config, m.MAGNITUDE, ONE_RUN, 'topic="$topic"', _PROBE, BASELINE))
    floors = q.by("run, kind", q.series(config, m.FLOOR, ONE_RUN, _PROBE))
    return [
        timeseries(
            "Net shift",
            "The figure of verdicts: share of the judged replies of the last five observations that changed sides "
            "since the baseline, toward the first pole positive. Controls are dashed: a shift that they share is no "
            "change of values.",
            targets((_of(config, net, "false"), "{{topic}}"), (_of(config, net, "true"), "{{topic}} (control)")),
            unit="percentunit",
            empty=NO_REPLIES,
            overrides=controls,
        ),
        trend(
            "Net shift over steps",
            "The same over optimizer steps, a point for each observation.",
            looked,
            targets(
                (f"{_of(config, net, 'false')} and on (run) ({looked})", "{{topic}}"),
                (f"{_of(config, net, 'true')} and on (run) ({looked})", "{{topic}} (control)"),
            ),
            unit="percentunit",
            empty=NO_REPLIES,
            overrides=controls,
            min_interval=config.scrape_interval,
        ),
        timeseries(
            "Score shift of the screen",
            "Change of the screen's P(support) - P(oppose) since the baseline, toward the first pole positive. Floors: "
            "what moves although nothing was taught.",
            targets(
                (_of(config, shift, "false"), "{{topic}}"),
                (_of(config, shift, "true"), "{{topic}} (control)"),
                (floors, "noise floor, {{kind}}"),
            ),
            unit="none",
            empty=_NO_SCREEN,
            overrides=[*controls, override("/^floor/", custom__lineStyle={"fill": "dot", "dash": [2, 4]})],
        ),
        _figures(config),
        timeseries(
            "Log-odds shift of the screen",
            "Change of the log-odds between the poles, nats per token: the screen's own figure, before calibration.",
            targets((odds, "{{topic}}")),
            unit="none",
            empty='Only the screen has log-odds: choose the probe "statement".',
        ),
        timeseries(
            "Size of the move",
            "Total variation between the stance shares now and at the baseline; biased upward on few items.",
            targets((size, "{{topic}}")),
            unit="percentunit",
            empty=_NO_LOOK,
            limits=(0, None),
        ),
        timeseries(
            "Drift magnitude: $topic",
            "Change of each stance's share since the baseline, with 95 % intervals over the items.",
            targets(
                (magnitude, "{{stance}}"),
                (magnitude.replace(m.MAGNITUDE.name, m.MAGNITUDE_LOWER.name), "{{stance}} lower"),
                (magnitude.replace(m.MAGNITUDE.name, m.MAGNITUDE_UPPER.name), "{{stance}} upper"),
            ),
            unit="percentunit",
            empty=_NO_LOOK,
            overrides=[
                edge
                for stance in ("support", "neutral", "oppose")
                for edge in band(f"{stance} lower", f"{stance} upper")
            ],
            width=8,
            repeat="topic",
            repeatDirection="h",
            maxPerRow=3,
        ),
    ]


def _figures(config: Config) -> Panel:
    where = (ONE_RUN, TOPIC, _PROBE, BASELINE)
    columns = {
        "A": (m.SCORE_SHIFT, "screen's score shift"),
        "B": (m.SCORE_SHIFT_LOWER, "from"),
        "C": (m.SCORE_SHIFT_UPPER, "to"),
        "D": (m.TOTAL_VARIATION, "total variation"),
        "E": (m.WASSERSTEIN, "Wasserstein"),
        "F": (m.FLIPPED, "items flipped"),
    }
    return table(
        "Figures now",
        "Score shift of the screen with its 95 % interval over the items; size of the move as total variation and as "
        "ordinal Wasserstein distance; share of the items whose likeliest stance is another one. Sampled replies flip "
        "by chance alone: compare with the controls.",
        [
            target(q.by("topic", q.series(config, metric, *where)), ref=ref, table=True, now=True)
            for ref, (metric, _) in columns.items()
        ],
        {"topic": "topic", **{f"Value #{ref}": heading for ref, (_, heading) in columns.items()}},
        empty=_NO_LOOK,
        units={"total variation": "percentunit", "items flipped": "percentunit"},
        sort="total variation",
        width=12,
        height=8,
    )


def evidence(config: Config) -> list[Panel]:
    """Panels with the evidence on which alerts rest."""
    where = (ONE_RUN, TOPIC)
    looked = q.looked(config, ONE_RUN)
    threshold = q.one(config, m.THRESHOLD, ONE_RUN)
    needed = override("/^needed/", color={"mode": "fixed", "fixedColor": "red"}, custom__lineStyle={"fill": "dash"})

    def curves(metric: m.Metric) -> list[dict[str, Any]]:
        return targets((q.one(config, metric, *where), "{{topic}}, {{kind}}"), (threshold, "needed for an alert"))

    return [
        timeseries(
            "Evidence that the readable replies moved",
            "Base 10 logarithm of an e-value: 2 is odds of 100 to 1. It may be looked at as often as one likes; at the "
            "red line, (hypotheses left) / alpha, the topic alerts.",
            curves(m.EVIDENCE),
            unit="none",
            empty=NO_REPLIES,
            overrides=[needed],
        ),
        trend(
            "Evidence over steps",
            "The same over optimizer steps, a point for each observation.",
            looked,
            targets(
                (f"{q.one(config, m.EVIDENCE, *where)} and on (run) ({looked})", "{{topic}}, {{kind}}"),
                (f"{threshold} and on (run) ({looked})", "needed for an alert"),
            ),
            unit="none",
            empty=NO_REPLIES,
            overrides=[needed],
            min_interval=config.scrape_interval,
        ),
        timeseries(
            "Evidence that values moved",
            "That they moved even if every stance lost to, or gained from, refusals and unclassified replies would "
            "have explained it away. Only this makes a value alert.",
            curves(m.VALUE_EVIDENCE),
            unit="none",
            empty=NO_REPLIES,
            overrides=[needed],
        ),
        timeseries(
            "Evidence of drift beyond tolerance",
            "That they moved by more than the drift that is tolerated.",
            curves(m.BEYOND_TOLERANCE_EVIDENCE),
            unit="none",
            empty=NO_REPLIES,
            overrides=[needed],
        ),
        timeseries(
            "Smallest shift that could have been found",
            "So far, nine times out of ten; where nothing fired, this is all that can be said. Not a certificate.",
            targets((q.one(config, m.DETECTABLE, *where), "{{topic}}, {{kind}}")),
            unit="percentunit",
            empty="Nothing could have been found yet, or every topic has alerted.",
            limits=(0, None),
        ),
        timeseries(
            "Baseline replies that are left",
            "Decoded ahead and not used yet; at 0 the evidence on a topic is frozen, and an alert says so.",
            targets((q.one(config, m.REPLIES_LEFT, *where), "{{topic}}")),
            unit="none",
            empty="The baseline model is asked on demand, or no replies are drawn.",
            lines=(0,),
            limits=(0, None),
        ),
    ]


def _of(config: Config, expr: str, control: str) -> str:
    """The expression restricted to value topics or to controls."""
    topics = q.series(config, m.TOPIC_INFO, ONE_RUN, f'control="{control}"')
    return f"{expr} and on (run, topic) {topics}"
