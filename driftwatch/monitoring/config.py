"""Config: everything that a user may want to change in the generated rules and dashboards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Literal, get_args

from driftwatch.errors import ConfigError

Severity = Literal["info", "warning", "critical", "off"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_MATCHER = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf"\s*(?:{_MATCHER}\s*(?:,\s*{_MATCHER}\s*)*)?")
_PREFIX = re.compile(r"[A-Z][A-Za-z0-9]{0,30}")
_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the rules that are not anytime-valid; panels draw the same thresholds as lines.

    All of them are chosen, not derived, and no rule that uses them has a stated false-alarm rate.

    Attributes:
        label_seconds: For how long a topic that was labelled specific keeps its value alert while observations give it
            another label: labels waver near the evidence that settles them, and an alert should not.
        naysaying_shift: Mean change of P("no") over the topics, in [0, 1].
        refusal_shift: Mean change of the share of refusals over the topics, in [0, 1].
        flip_margin: How far a topic must lean, before and now, for its leaning to count as flipped; a size of the score
            P(support) - P(oppose), in [0, 1].
        coverage: Least share of a topic's measurements that must succeed, in [0, 1].
        agreement: Least correlation of the screen with judged replies, in [-1, 1].
        overhead: Largest share of wall time that observations may take, in [0, 1]; the default is twice the schedule's
            default budget, since early observations may use some of the whole run's allowance in advance.
        failures: Largest number of failed observations within `failure_seconds` that raises no alert.
        failure_seconds: Length of the window in which `failures` are counted.
        stale_seconds: Longest time without an observation while the trainer lives.
        silent_seconds: Longest time without a sign of life; a trainer gives one every 15 s.
        away_seconds: For how long a run must be away to be called crashed; a restart or a missed scrape takes less.
        gone_seconds: For how long a run that vanished is still called crashed.
        ended_seconds: For how long an ended run is still reported; without it, pushed values would stay for ever.
        untold_seconds: For how long the verdict must be that nothing can be told before an alert says so; every run
            begins with that verdict.
    """

    label_seconds: float = 3600
    naysaying_shift: float = 0.2
    refusal_shift: float = 0.1
    flip_margin: float = 0.1
    coverage: float = 0.8
    agreement: float = 0.3
    overhead: float = 0.02
    failures: float = 1
    failure_seconds: float = 6 * 3600
    stale_seconds: float = 4 * 3600
    silent_seconds: float = 300
    away_seconds: float = 120
    gone_seconds: float = 6 * 3600
    ended_seconds: float = 24 * 3600
    untold_seconds: float = 3600


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the generated files.

    Attributes:
        selector: Label matchers added to every driftwatch series, for example `cluster="a", team=~"x|y"`.
        service_selector: Matchers of the `up` series of `driftwatch serve`, which should never be down.
        prefix: Prefix of the names of alerts and dashboards.
        scrape_interval: How often Prometheus scrapes, as a Prometheus duration.
        evaluation_interval: How often rules are evaluated.
        runbook_url: Address of the runbook, to which "#" and the alert's name in small letters are appended; "" means
            the runbook dashboard in `grafana_url`, which is generated with the others.
        grafana_url: Root of the Grafana that alerts link to.
        datasource_uid: Uid of the Prometheus data source that we provision, and that Grafana-managed rules query.
        release: Value of the label `release` on Kubernetes resources, by which kube-prometheus-stack selects them.
        thresholds: Where rules draw their lines.
        severities: Another severity, or "off" to leave the alert out, by the alert's name without the prefix.

    Raises:
        ConfigError: A setting would make rules that cannot work.
    """

    selector: str = ""
    service_selector: str = 'job="driftwatch-service"'
    prefix: str = "Driftwatch"
    scrape_interval: str = "15s"
    evaluation_interval: str = "30s"
    runbook_url: str = ""
    grafana_url: str = "http://127.0.0.1:3000"
    datasource_uid: str = "driftwatch-prometheus"
    release: str = "kube-prometheus-stack"
    thresholds: Thresholds = field(default_factory=Thresholds)
    severities: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name in ("selector", "service_selector"):
            if not _SELECTOR.fullmatch(getattr(self, name)):
                raise ConfigError(
                    f'{name} is a list of label matchers such as \'cluster="a", team=~"x|y"\', without braces; '
                    f"found {getattr(self, name)!r}."
                )
        if not self.service_selector.strip():
            raise ConfigError("service_selector must name the job of `driftwatch serve`; without one it matches all.")
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigError(f"prefix is one CamelCase word, for example Driftwatch; found {self.prefix!r}.")
        for name in ("scrape_interval", "evaluation_interval"):
            seconds(getattr(self, name))

    @property
    def slug(self) -> str:
        """The prefix as it stands in uids, tags and file names."""
        return self.prefix.lower()


def with_thresholds(pairs: Mapping[str, float]) -> Thresholds:
    """The default thresholds, with those in `pairs` changed.

    Raises:
        ConfigError: There is no threshold of one of these names.
    """
    names = [known.name for known in fields(Thresholds)]
    if unknown := next((name for name in pairs if name not in names), None):
        raise ConfigError(f"there is no threshold {unknown!r}; thresholds: {', '.join(names)}.")
    return Thresholds(**pairs)


def seconds(duration: str) -> int:
    """The number of seconds in a Prometheus duration of one unit.

    Raises:
        ConfigError: It is no such duration, or it is zero.

    >>> seconds("15s"), seconds("2m")
    (15, 120)
    """
    found = _DURATION.fullmatch(duration)
    if not found or int(found[1]) == 0:
        raise ConfigError(f"an interval is a number and one of s, m, h, d, for example 15s; found {duration!r}.")
    return int(found[1]) * _UNIT_SECONDS[found[2]]


def duration(total: float) -> str:
    """Seconds as a Prometheus duration, in the largest unit that divides them.

    >>> duration(21600), duration(90)
    ('6h', '90s')
    """
    whole = round(total)
    for unit in ("d", "h", "m"):
        if whole % _UNIT_SECONDS[unit] == 0:
            return f"{whole // _UNIT_SECONDS[unit]}{unit}"
    return f"{whole}s"
