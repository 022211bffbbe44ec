"""Checks whether a model's replies are its own, and what decoding the baseline's replies before training will cost."""

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from driftwatch.doctor.finding import Finding
from driftwatch.errors import ProbeError

LONG_SECONDS = 600.0  # seconds, chosen: a wait of which people want to know beforehand
LESS = (
    "Train LoRA adapters on it; or lower normal_draws, watched_draws or decoding.max_new_tokens under confirm, "
    "or raise every_steps under schedule."
)


def decoding(model: Any, tokenizer: Any, arguments: dict[str, Any], *, steps: int | None) -> Iterator[Finding]:
    """Check whether replies can be trusted, how many a run decodes before its first step, and how long that takes.

    Args:
        model: The model as training will load it.
        tokenizer: The model's tokenizer.
        arguments: Arguments of the run's Monitor.
        steps: Optimizer steps of the training; `None` if unknown.

    Yields:
        Findings; none where the run draws no replies, and only the refusal where the model's replies are refused.
    """
    from driftwatch.chat.format import ChatFormat
    from driftwatch.evidence.reserve import at_once, horizon, planned_replies
    from driftwatch.host.adapters import Reference, find_reference
    from driftwatch.host.guard import undisturbed
    from driftwatch.replies.draws import Interviewer
    from driftwatch.topics import load_pack
    from driftwatch.watch.schedule import Schedule

    confirm = arguments.get("confirm")
    if confirm is None:
        return
    topics = [t for t in arguments.get("pack") or load_pack("core") if any(item.sides for item in t.items)]
    interviewer = Interviewer(topics, ChatFormat(tokenizer, confirm.wrap), confirm.decoding)
    try:
        with undisturbed(model, tokenizer=tokenizer) as asked:
            proved = interviewer.prove(asked)
    except ProbeError as err:
        fix = (
            "A run goes on with the screen alone; leave replies out (confirm: null) or correct what the sentence names."
        )
        yield Finding("decoding", "problem", f"replies refused: {err}", fix)
        return
    yield Finding("decoding", "ok" if proved.note is None else "warning", proved.sentence)
    if isinstance(reference := find_reference(model), Reference):
        text = f"the baseline model is reached by {reference.description}: none are decoded before training"
        yield Finding("replies", "ok", text)
        return
    schedule = arguments.get("schedule") or Schedule()
    planned = schedule.planned_looks(0, steps)
    looks = horizon(planned)
    wanted = planned_replies(topics, looks, normal=confirm.normal_draws, watched=confirm.watched_draws)
    number = sum(at_once(wanted).values())
    rows = confirm.decoding.batch_size
    batch = _batch_seconds(model, tokenizer, interviewer, topics, rows)
    seconds = math.ceil(number / rows) * batch
    counted = f"{looks:,} observations, half as many again as planned"
    if planned is None:
        counted = f"{looks:,} observations (name their number with --steps)"
    if number < sum(wanted.values()):
        counted += f", {number / sum(wanted.values()):.0%} of what those would ask for"
    text = (
        f"trained without adapters, this model cannot be asked as the baseline later: {number:,} replies of it are "
        f"decoded before training, for {counted}, in about {_shown(seconds)} ({batch:.2f} s for {rows}, measured)"
    )
    if seconds > LONG_SECONDS:
        yield Finding("replies", "warning", text, LESS)
    else:
        yield Finding("replies", "ok", text)


def _batch_seconds(model: Any, tokenizer: Any, interviewer: Any, topics: list[Any], rows: int) -> float:
    """Seconds that one batch of replies takes, decoded as a run decodes them; a first, slower batch is not counted."""
    from driftwatch.host.guard import undisturbed
    from driftwatch.replies.draws import draw

    each = math.ceil(rows / len(topics))
    draws = draw(topics, {topic.id: each for topic in topics}, np.random.default_rng(0))[:rows]
    with undisturbed(model, tokenizer=tokenizer) as asked:
        interviewer.ask(asked, draws, np.random.SeedSequence(0))
        began = time.perf_counter()
        interviewer.ask(asked, draws, np.random.SeedSequence(1))
    return time.perf_counter() - began


def _shown(seconds: float) -> str:
    """A duration in words for people.

    >>> [_shown(x) for x in (0.4, 42, 600, 9000)]
    ['1 s', '42 s', '10 min', '2.5 h']
    """
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
