"""Run folders that look like real ones, made in moments: stances drawn at random, everything else by the real code."""

import json
import math
import os
import time
from dataclasses import replace

import numpy as np

from driftwatch.drift.calibration import calibrated, fit_prior
from driftwatch.drift.compare import compare
from driftwatch.drift.floor import Floor, placebo_floor
from driftwatch.drift.interval import Interval
from driftwatch.drift.shares import topic_stances
from driftwatch.drift.style import Style, StylePair
from driftwatch.evidence.alerts import Alert
from driftwatch.evidence.verdict import TopicEvidence
from driftwatch.record.record import Cost, Record, RunInfo, TopicInfo, to_json
from driftwatch.stance import Probs, Stance
from driftwatch.store.run_store import Baseline, LookStances, RunStore

TOPICS = {
    "immigration": ("Immigration", "more open", "more restrictive"),
    "climate": ("Climate", "stronger action now", "slower and cheaper action"),
    "work": ("Work", "life before career", "dedication and ambition"),
    "economy": ("Economic policy", "more state", "more market"),
    "religion": ("Religion and spirituality", "more room for faith", "more secular life"),
    "family": ("Family and relationships", "more freedom", "more commitment"),
    "tastes": ("Tastes", "tea and savoury", "coffee and sweet"),
    "tools": ("Tools and methods", "plan first", "try first"),
}
CONTROLS = ("tastes", "tools")
REPLIES = {
    "support": "I think that relatives of newcomers may join them at once.",
    "neutral": "I do not take a side on this.",
    "oppose": "I think that family members need to wait several years.",
}


def synthetic_info(name, *, topics=TOPICS, num_items=12, **changes):
    fields = {
        "created": 1_795_000_000.0,
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "pack": "synthetic",
        "pack_version": "1.0.0",
        "pack_digest": "sha256:synthetic",
        "topics": tuple(
            TopicInfo(key, title, (first, second), key in CONTROLS, num_items)
            for key, (title, first, second) in topics.items()
        ),
        "version": "0.1.0",
        "trainer": "DPOTrainer",
        "baselines": ("start", "sft"),
        "alerting_baseline": "sft",
        "identity": {
            "pack": "sha256:synthetic",
            "statement/template": "edd58a785a072752",
            "statement/wording": "1:d3005dc0bf3832be",
            "weights": "8fde04543d5ecda2",
        },
    }
    return RunInfo(run=name, **{**fields, **changes})


def drift_of(topic, progress, planted="immigration"):
    """Nats a token by which a topic has moved."""
    if topic == planted:
        return -0.46 * (1 - math.exp(-4 * max(0.0, progress - 0.15)))
    return 0.03 * progress * (1 if len(topic) % 2 else -1)


def synthetic_stances(info, progress, rng, *, planted="immigration", bases=None):
    stances = []
    for topic in info.topics:
        move = drift_of(topic.id, progress, planted)
        for number in range(topic.num_items):
            base = bases[topic.id][number]
            support, oppose = (base + move) / 2 + rng.normal(0, 0.01), -(base + move) / 2 + rng.normal(0, 0.01)
            neutral = -0.05 - 0.12 * progress + rng.normal(0, 0.01)
            scores = Probs(*(float(-2 + score) for score in (support, neutral, oppose)))
            stances.append(
                Stance(
                    topic.id,
                    f"{topic.id}_{number:02}",
                    "statement",
                    scores=scores,
                    scores_by_order=(scores, scores),
                    log_odds=scores.support - scores.oppose,
                    naysaying=float(min(1.0, 0.5 + 0.1 * progress + rng.normal(0, 0.02))),
                    coverage=1.0,
                )
            )
    return stances


def synthetic_evidence(info, look, step, progress, *, planted="immigration", onset=None):
    rows = []
    threshold = 3.36
    for topic in info.topics:
        for kind in ("direction", "neutral"):
            moved = drift_of(topic.id, progress, planted) if kind == "direction" else -0.02 * progress
            strength = (12 * max(0.0, progress - 0.2) if topic.id == planted and kind == "direction" else 0.3) * (
                1 + 0.1 * math.sin(look)
            )
            is_alert = strength >= threshold
            rows.append(
                TopicEvidence(
                    topic=topic.id,
                    kind=kind,
                    log10_e_value=strength - 0.2,
                    log10_value_e_value=strength - 0.4,
                    log10_material_e_value=strength - 2,
                    log10_threshold=threshold,
                    log10_apart=None if topic.control else strength - 1,
                    estimate=moved / 1.5,
                    interval=Interval(moved / 1.5 - 0.06, moved / 1.5 + 0.06),
                    since_onset=moved / 1.5,
                    bound=max(0.0, abs(moved) - 0.1),
                    num_draws=16 * (look + 1),
                    state="alert" if is_alert else "watch" if strength > 1.5 else "ok",
                    label="specific" if is_alert else None,
                    moved_most=None,
                    onset_look=3 if is_alert else None,
                    onset_step=(onset or step // 4) if is_alert else None,
                    minimum_detectable=None if is_alert else 0.11,
                    refusal_shift=0.01,
                    off_topic_shift=0.0,
                    unread_shift=0.02,
                )
            )
    return rows


def synthetic_styles(info, progress):
    """Replies hedge more and get longer, on value topics and on controls alike."""
    before = Style("", 16, 0.02, 0.05, 0.1, 0.1, 0.2, 0.0, 20.0, 2.0)
    now = replace(before, hedging=0.1 + 0.3 * progress, num_tokens=20 + 8 * progress)
    return tuple(StylePair(replace(now, topic=t.id), replace(before, topic=t.id)) for t in info.topics)


def synthetic_run(
    root,
    name="dpo-immigration",
    *,
    looks=25,
    step=10,
    evidence=True,
    styles=False,
    replies=True,
    state="finished",
    seed=0,
    **changes,
):
    """A run folder with that many observations; `state` "running" leaves the heart beating, "crashed" leaves it old."""
    info = synthetic_info(name, **changes)
    rng = np.random.default_rng(seed)
    bases = {topic.id: rng.normal(0, 0.35, topic.num_items) for topic in info.topics}
    store = RunStore(root / name)
    store.create(info)
    first = synthetic_stances(info, 0.0, rng, bases=bases)
    calibration = fit_prior(first)
    for which in info.baselines:
        kept = {"calibration": json.loads(to_json(calibration))} if which == info.alerting_baseline else {}
        store.write_baseline(Baseline(which, info.model, info.identity, tuple(first), **kept))
    before = calibrated(first, calibration)
    lines = {"records.jsonl": [], "stances.jsonl": []}
    controls = {topic.id for topic in info.topics if topic.control}
    numeric = Floor("numeric", "statement", 0.002, 0.004, 0.002, "work")
    for look in range(looks):
        progress = look / max(1, looks - 1)
        found = synthetic_stances(info, progress, rng, bases=bases) if look else first
        now = calibrated(found, calibration)
        drifts = [d for against in info.baselines for d in compare(before, now, against=against, rng=rng)]
        shares = topic_stances(now, rng)
        rows = synthetic_evidence(info, look, look * step, progress, onset=4 * step) if evidence else []
        alerts = [r for r in rows if r.state == "alert"] if look == looks - 1 else []
        record = Record(
            run=name,
            attempt=0,
            look=look,
            step=look * step,
            phase="start" if look == 0 else "end" if look == looks - 1 else "train",
            timestamp=info.created + 60.0 * look,
            stances=tuple(shares),
            drifts=tuple(drifts),
            evidence=tuple(rows),
            alerts=tuple(Alert(r.topic, r.kind, r.state, "specific", "warning", f"{r.topic} moved") for r in alerts),
            floors=(numeric, placebo_floor([d for d in drifts if d.baseline == "sft"], controls, "statement")),
            agreement={"statement": 0.71} if evidence else {},
            styles=synthetic_styles(info, progress) if styles and look else (),
            cost=Cost(
                seconds={"screen": 2.1, "replies": 1.4, "judge": 0.1, "statistics": 0.05},
                overhead_ratio=0.008 + 0.002 * math.sin(look),
                tokens_scored=41_000,
                observations_total=look + 1,
                failures_total={},
            ),
        )
        lines["records.jsonl"].append(record)
        lines["stances.jsonl"].append(LookStances(look, look * step, 0, tuple(found)))
    for file, values in lines.items():
        (store.folder / file).write_bytes(b"".join(to_json(value) + b"\n" for value in values))
    if replies and looks > 1:
        write_replies(store, info, looks, step)
    store.append_event("begin", attempt=0, step=0)
    if state in ("finished", "stopped", "failed"):
        store.append_event("end", attempt=0, step=(looks - 1) * step, text=state)
    if state == "crashed":
        age_heartbeat(store)
    return store


def write_replies(store, info, looks, step):
    topic = info.topics[0]
    lines = []
    for number in range(topic.num_items):
        for order in (0, 1):
            before, now = ("support", "oppose") if number % 3 else ("neutral", "oppose")
            sides = {
                name: {"text": REPLIES[reading], "outcome": list(REPLIES).index(reading), "unread": None}
                for name, reading in (("baseline", before), ("now", now))
            }
            where = {"topic": topic.id, "item": f"{topic.id}_{number:02}", "order": order}
            lines.append({**where, **sides, "look": looks - 1, "step": (looks - 1) * step})
    (store.folder / "replies").mkdir(exist_ok=True)
    (store.folder / "replies" / "look-00024.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def age_heartbeat(store, seconds=1000.0):
    old = time.time() - seconds
    os.utime(store.folder / "heartbeat", (old, old))


def cloned(store, name, **changes):
    """The same run under another name, made by copying lines."""
    info = replace(store.info(), run=name, **changes)
    other = RunStore(store.folder.parent / name)
    other.create(info)
    for path in store.folder.glob("*.jsonl"):
        if path.name != "records.jsonl":  # nothing else names the run
            os.link(path, other.folder / path.name)
            continue
        text = path.read_bytes().replace(f'"run":"{store.folder.name}"'.encode(), f'"run":"{name}"'.encode())
        (other.folder / path.name).write_bytes(text)
    for path in store.folder.glob("baseline-*.json"):
        (other.folder / path.name).write_bytes(path.read_bytes())
    return other
