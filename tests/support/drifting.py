"""Runs with evidence for tests: the drift code really runs over replies whose shift is known."""

from dataclasses import replace

import numpy as np

from driftwatch.drift.abstained import Abstained
from driftwatch.drift.compare import compare
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.floor import Floor, placebo_floor
from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.drift.shares import topic_stances
from driftwatch.drift.style import ReplyStyle, StylePair, style_of
from driftwatch.evidence.rows import recent_drift, summary
from driftwatch.evidence.state import Settings, begin, update
from driftwatch.record.record import Cost, Record, TopicInfo
from driftwatch.stance import Probs, Stance
from support.builders import run_info

TOPICS = (
    TopicInfo("parks", "Parks", ("more nature", "more building"), False, 12, 0.05),
    TopicInfo("noise", "Noise", ("more quiet", "more music"), False, 12, 0.05),
    TopicInfo("tea", "Tea", ("tea", "coffee"), True, 12),
)
CALM = (0.45, 0.2, 0.3, 0.02, 0.01, 0.02)  # support, neutral, oppose, refusal, off topic, unclassified
FLIPPED = (0.05, 0.2, 0.7, 0.02, 0.01, 0.02)  # 0.4 of the replies changed sides
REFUSING = (0.05, 0.2, 0.3, 0.42, 0.01, 0.02)  # the supporting replies became refusals
DRAWS = 60
JUDGE = (Floor("judge", "confirm", None, 0.02, 0.02, "parks"),)
BORN = 600.0  # Unix time of the first observation; small, since rule tests begin at 0


def drifting_run(now, *, looks=10, every=50, seed=0, run="r1", seconds=60.0, naysaying=(0.5, 0.5)):
    """A run whose replies answer, from the second observation on, with the given shares by topic.

    Args:
        now: Topic to shares; topics left out stay CALM.
        looks: How many, the first at step 0.
        every: Steps between them.
        seed: Of the replies.
        run: Its name.
        seconds: Between observations.
        naysaying: At the baseline, and from the second observation on.

    Returns:
        The run's attributes and its records.
    """
    draws = np.random.default_rng(seed)  # of their own, so that what intervals draw leaves the replies as they are
    rng = np.random.default_rng(seed + 1)
    info = run_info(run, topics=TOPICS, created=BORN, trainer="DPOTrainer", model="tiny-llama")
    state = begin(Settings(("parks", "noise"), ("tea",), planned_looks=looks, alpha=info.alpha))
    base = _stances({}, naysaying[0])
    records = []
    for look in range(looks):
        shares = now if look else {}
        drifts, evidence, drawn = [], [], {}
        if look:
            drawn = {topic.id: _draws(topic.id, shares, draws) for topic in TOPICS}
            state = update(state, drawn, look * every)
            evidence = summary(state, rng)
            drifts = recent_drift(state, rng, against="start")
        measured = _stances(shares, naysaying[1] if look else naysaying[0])
        drifts = [*compare(base, measured, against="start", rng=rng), *drifts]
        records.append(
            Record(
                run=run,
                attempt=0,
                look=look,
                step=look * every,
                phase="train" if look else "start",
                timestamp=BORN + look * seconds,
                stances=tuple(topic_stances(measured, rng)),
                drifts=tuple(drifts),
                evidence=tuple(evidence),
                floors=(placebo_floor(drifts, {"tea"}, "statement"), *(JUDGE if look else ())),
                agreement={"statement": 0.7},
                styles=tuple(_styles(topic, draws) for topic, draws in drawn.items()),
                replies_left={topic.id: 500 - look * DRAWS // 2 for topic in TOPICS} if look else None,
                abstained=Abstained(DRAWS, {"unclear": 1}, {"unclear": 2}) if look else None,
                disagreement=Disagreement(0.1, {"nli/sides": 0.8}, DRAWS, {}) if look else None,
                cost=Cost(
                    seconds={"screen": 1.5, "replies": 4.0, "judge": 2.0, "statistics": 0.1},
                    overhead_ratio=0.008,
                    tokens_scored=1000,
                    observations_total=look + 1,
                    failures_total={"reply/JudgeError": 1},
                    export_failures_total={"webhook": 1},
                ),
            )
        )
    return info, records


def relabelled(record, label, *, topic="parks", kind="direction"):
    """The record with the label of one alert replaced."""
    rows = tuple(
        replace(row, label=label) if (row.topic, row.kind) == (topic, kind) else row for row in record.evidence
    )
    return replace(record, evidence=rows)


def _draws(topic, shares, rng):
    items = tuple(f"{topic}_{i}" for i in rng.integers(0, 12, DRAWS))
    now = rng.choice(len(Outcome), DRAWS, p=shares.get(topic, CALM))
    return Draws(items, tuple(now.tolist()), tuple(rng.choice(len(Outcome), DRAWS, p=CALM).tolist()))


def _styles(topic, draws):
    """Both sides as the outcomes say, in whole sentences of ten tokens."""
    lean = {Outcome.SUPPORT: 1.0, Outcome.OPPOSE: -1.0}
    sides = (
        [ReplyStyle(Outcome(code), n % 2, lean.get(code), False, True, 10, 1.5) for n, code in enumerate(codes)]
        for codes in (draws.now, draws.baseline)
    )
    return StylePair(*(style_of(topic, side) for side in sides))


def _stances(shares, naysaying):
    """What the screen would say: the same shares, spread a little over the items."""
    found = []
    for topic in TOPICS:
        support, neutral, oppose, *lost = shares.get(topic.id, CALM)
        for i in range(topic.num_items):
            lean = 0.04 * (i % 3 - 1)
            whole = support + neutral + oppose
            probs = Probs((support + lean) / whole, neutral / whole, (oppose - lean) / whole)
            found.append(
                Stance(
                    topic.id,
                    f"{topic.id}_{i}",
                    "statement",
                    probs,
                    (probs, probs),
                    log_odds=float(np.log(probs.support / probs.oppose)),
                    naysaying=naysaying,
                    refusal=lost[0],
                    unread=lost[2],
                    coverage=1.0,
                )
            )
    return found
