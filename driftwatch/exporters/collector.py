"""RunCollector: the current values of runs as Prometheus metric families."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftwatch.record.metrics import CATALOGUE
from driftwatch.record.samples import Sample


class RunCollector(Collector):
    """A collector that asks for the samples at each scrape and groups them by metric, in the order of the catalogue.

    Args:
        current: Gives the current samples of one or many runs.
    """

    def __init__(self, current: Callable[[], Iterable[Sample]]) -> None:
        self._current = current

    def describe(self) -> Iterable[Metric]:
        """No metrics, so that the registry does not collect at registration, when there is no run yet."""
        return []

    def collect(self) -> Iterable[Metric]:
        """One family for every metric that has a value."""
        by_name: dict[str, list[Sample]] = {}
        for sample in self._current():
            by_name.setdefault(sample.metric.name, []).append(sample)
        for metric in CATALOGUE:
            found = by_name.get(metric.name)
            if not found:
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=("run", *metric.labels))
            for sample in found:
                family.add_metric(sample.labels, sample.value)
            yield family
