"""Alert: one alerting rule with the text that people read, in the template languages of Prometheus and Grafana.

In a text, `<name>` stands for a label of the alert or for a fact that is queried when the alert fires. A Prometheus
template can run the query itself; a Grafana template cannot, so there each fact becomes a query of the rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from driftwatch.monitoring.config import Config, Severity

Page = Literal["overview", "run", "health"]
Form = Literal["signed", "figure", "power", "count", "percent", "replies", "time"]

_PLACE = re.compile(r"<(\w+)>")
_PARAMETER = re.compile(r"\$(\w+)")
_FORMATS: dict[Form, str] = {
    "signed": 'printf "%+.2f" {}',
    "figure": 'printf "%.2f" {}',
    "power": 'printf "10^%.1f" {}',
    "count": 'printf "%.0f" {}',
    "percent": "humanizePercentage {}",
    "replies": 'printf "%.0f %% of replies" {}',
    "time": "humanizeDuration {}",
}
UNKNOWN = "an unknown number"
NO_RATE = "This rule has no stated false-alarm rate."


@dataclass(frozen=True, slots=True)
class Fact:
    """A number that the text of an alert mentions.

    Attributes:
        expr: PromQL with one series as its result; `$run`, `$topic`, … stand for the alert's labels, in quotes.
        form: How the number is written.
        choice: Texts to write instead of the number: one for a positive value, one for any other.
        unknown: The text where the query finds nothing.
    """

    expr: str
    form: Form = "figure"
    choice: tuple[str, str] | None = None
    unknown: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule.

    Attributes:
        name: Name in CamelCase, without the prefix; the heading of its section in the runbook.
        severity: "info" notifies nobody by default, "warning" calls for someone in working hours, "critical" now.
        expr: PromQL over recorded names; the labels of its result are the alert's labels.
        summary: The alert in one line.
        description: What happened, by how much, since when, and on what this rests; a few sentences.
        hold: Prometheus duration for which `expr` must hold.
        anytime_valid: Whether the probability that it fires falsely at any time in a run is at most the stated one; if
            not, the text says that the rule has no such rate.
        facts: Numbers that the texts mention, by name.
        page: The dashboard to open.
    """

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    hold: str = "0m"
    anytime_valid: bool = False
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    page: Page = "run"
    labels: tuple[str, ...] = ("run",)

    @property
    def full_description(self) -> str:
        """The description, which says so where the rule has no stated false-alarm rate."""
        return self.description if self.anytime_valid else f"{self.description} {NO_RATE}"


def annotations(alert: Alert, config: Config, *, runbook_panel: int, grafana: bool = False) -> dict[str, str]:
    """The annotations that Alertmanager or Grafana sends along with an alert.

    Args:
        alert: The alert.
        config: Settings, which say where dashboards and the runbook are.
        runbook_panel: Id of the alert's section on the runbook dashboard.
        grafana: Whether to write the template language of Grafana-managed rules.
    """
    render = _grafana_text if grafana else _prometheus_text
    return {
        "summary": render(alert.summary, alert),
        "description": render(alert.full_description, alert),
        "runbook_url": runbook_url(alert, config, runbook_panel),
        "dashboard_url": dashboard_url(alert, config),
    }


def runbook_url(alert: Alert, config: Config, panel: int) -> str:
    """The address of the runbook's section on this alert."""
    if config.runbook_url:
        return f"{config.runbook_url}#{config.slug}{alert.name.lower()}"
    return f"{config.grafana_url.rstrip('/')}/d/{config.slug}-runbook?viewPanel={panel}"


def dashboard_url(alert: Alert, config: Config) -> str:
    """The address of the dashboard, with the alert's run and topic selected."""
    url = f"{config.grafana_url.rstrip('/')}/d/{config.slug}-{alert.page}"
    variables = [f"var-{name}={{{{ $labels.{name} }}}}" for name in ("run", "topic") if name in alert.labels]
    return f"{url}?{'&'.join(variables)}" if variables else url


def _prometheus_text(text: str, alert: Alert) -> str:
    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name == "value":
            return "{{ $value | humanize }}"
        fact = alert.facts.get(name)
        if fact is None:
            return _label(name, alert)
        expr = _PARAMETER.sub("%q", fact.expr)
        values = "".join(f" $labels.{label}" for label in _PARAMETER.findall(fact.expr))
        query = f"printf `{expr}`{values} | query" if values else f"query `{expr}`"
        shown = _shown(fact, "(. | first | value)", alert)
        return f"{{{{ with {query} }}}}{shown}{{{{ else }}}}{fact.unknown}{{{{ end }}}}"

    return _PLACE.sub(place, text)


def _grafana_text(text: str, alert: Alert) -> str:
    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name == "value":
            return '{{ printf "%.0f" $values.value.Value }}'
        fact = alert.facts.get(name)
        if fact is None:
            return _label(name, alert)
        return f"{{{{ with $values.{name} }}}}{_shown(fact, '.Value', alert)}{{{{ else }}}}{fact.unknown}{{{{ end }}}}"

    return _PLACE.sub(place, text)


def _shown(fact: Fact, value: str, alert: Alert) -> str:
    if fact.choice is None:
        return f"{{{{ {_FORMATS[fact.form].format(value)} }}}}"
    positive, other = (_PLACE.sub(lambda found: _label(found[1], alert), text) for text in fact.choice)
    return f"{{{{ if gt {value} 0.0 }}}}{positive}{{{{ else }}}}{other}{{{{ end }}}}"


def _label(name: str, alert: Alert) -> str:
    assert name in alert.labels, f"{alert.name} names <{name}>, which is neither a fact nor a label of it"
    return f"{{{{ $labels.{name} }}}}"
