"""Counts, from the catalogue, how many series a run costs a Prometheus."""

from math import prod

from driftwatch.drift.abstained import UNCLASSIFIED_KINDS
from driftwatch.record import metrics as m
from driftwatch.record.metrics import CATALOGUE, SHOWN_STATES, Metric
from driftwatch.stance import STANCES
from driftwatch.wording import LABELS, RUN_STATES, VERDICT_STATES

_STAGES = 6  # prepare, screen, baseline, replies, engine, statistics
_PAIRS = 3  # pairs of judges in a panel of three
_PER_RUN = ("model", "pack", "pack_version", "version", "trainer", "alerting_baseline")
_OF_A_TOPIC = ("support", "oppose", "control")


def series_of_run(num_topics: int, *, num_probes: int = 2, num_baselines: int = 2) -> int:
    """The largest number of series of a run, including one failure of each kind.

    Args:
        num_topics: Number of topics, controls included.
        num_probes: Number of probes; the screen and the judged replies count as two.
        num_baselines: Number of baselines; "sft" and "start" are two.
    """
    return sum(_series(metric, num_topics, num_probes, num_baselines) for metric in CATALOGUE)


def _series(metric: Metric, topics: int, probes: int, baselines: int) -> int:
    sizes = {
        "topic": topics,
        "probe": probes,
        "baseline": baselines,
        "stance": len(STANCES),
        "state": len(RUN_STATES) if metric is m.RUN_STATE else len(SHOWN_STATES),
        # Evidence has kinds direction and neutral; noise floors are numeric and placebo (screen) and judge (replies).
        "kind": len(UNCLASSIFIED_KINDS) if metric is m.ABSTAINED else 2,
        "pair": _PAIRS,
        "side": 2,
        "label": len(LABELS),
        "verdict": len(VERDICT_STATES),
        "stage": _STAGES,
        **dict.fromkeys((*_PER_RUN, *_OF_A_TOPIC, "reason", "exporter"), 1),
    }
    found = prod(sizes[label] for label in metric.labels)
    if "topic" in metric.labels and "kind" in metric.labels:
        found += prod(sizes[label] for label in metric.labels if label not in ("topic", "kind"))  # of all topics
    return found
