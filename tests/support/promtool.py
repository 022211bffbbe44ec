"""Rule tests by promtool, on series that our own exporter exposed."""

import json
import subprocess

import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from driftwatch.exporters.collector import RunCollector
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.files import rules_text
from driftwatch.record.metrics import HEARTBEAT
from driftwatch.record.samples import samples
from driftwatch.store.run_store import RunStore
from support.requires import tool

TRAINER = {"job": "driftwatch", "instance": "trainer:9464"}


class Timeline:
    """What Prometheus would have scraped, minute by minute, from Unix time 0 on.

    Args:
        folder: For the run's store.

    Attributes:
        config: Of the rules that are tried on it.
        scrapes: By minute: series to value.
    """

    def __init__(self, folder):
        self.store = RunStore(folder)
        self.config = Config()
        self.scrapes = []

    @property
    def now(self):
        """Unix time of the next scrape."""
        return len(self.scrapes) * 60.0

    def runs(self, count, info, record, *, state="running", beats=True, target=TRAINER):
        """Scrapes of the exporter while it holds one record; without beats its heartbeat stays where it was."""
        exporter = PrometheusExporter(port=None)
        exporter.open(info, self.store)
        exporter.export(record)
        exporter.beat(self.now)
        if state != "running":
            exporter.close(state)
        scraped = _labelled(generate_latest(exporter.registry).decode(), target)
        return self._repeated(scraped, count, beats=beats)

    def serves(self, count, rows, *, target):
        """Scrapes of an endpoint with several runs, each given as (info, record, state)."""
        now, registry = self.now, CollectorRegistry()
        registry.register(RunCollector(lambda: [x for i, r, s in rows for x in samples(i, r, state=s, heartbeat=now)]))
        return self._repeated(_labelled(generate_latest(registry).decode(), target), count)

    def _repeated(self, scraped, count, *, beats=True):
        """The same scrape for a while: only signs of life change between two observations."""
        alive = [name for name in scraped if name.startswith(f"{HEARTBEAT.name}{{")]
        for _ in range(count):
            self.scrapes.append({**scraped, **(dict.fromkeys(alive, self.now) if beats else {})})
        return self

    def gone(self, count, up=None):
        """Scrapes that found nothing; with `up`, the labels of a target that does not answer."""
        self.scrapes += [{_name("up", up): 0.0} if up else {}] * count
        return self

    def and_up(self, target, value=1.0):
        """Adds the `up` series of a target to every scrape so far that has none."""
        name = _name("up", target)
        self.scrapes = [{name: value, **scrape} for scrape in self.scrapes]
        return self

    def input_series(self):
        """For promtool."""
        names = dict.fromkeys(name for scrape in self.scrapes for name in scrape)
        return [
            {"series": name, "values": " ".join(str(scrape.get(name, "_")) for scrape in self.scrapes)}
            for name in names
        ]


def firing(timeline, alerts, folder):
    """Runs promtool; what it says where the alerts differ from the expected ones, "" if they do not.

    Args:
        timeline: Input.
        alerts: (minute, alert name, expected alerts as promtool writes them).
        folder: For the files.
    """
    (folder / "rules.yml").write_text(rules_text(timeline.config))
    cases = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": expected} for minute, name, expected in alerts
    ]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": timeline.input_series(),
                "alert_rule_test": cases,
            }
        ],
    }
    path = folder / "rules.test.yml"
    path.write_text(yaml.safe_dump(test, width=10**9))
    done = subprocess.run([tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def check_rules(text, folder, *, lint="all"):
    """Promtool's opinion of a rule file; "" if it has none."""
    path = folder / "checked.yml"
    path.write_text(text)
    command = [tool("promtool"), "check", "rules", f"--lint={lint}", "--lint-fatal", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _labelled(text, target):
    return {
        _name(sample.name, {**sample.labels, **target}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _name(metric, labels):
    inner = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    return f"{metric}{{{inner}}}"
