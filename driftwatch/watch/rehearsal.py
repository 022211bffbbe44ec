"""Rehearsal: whole runs of the product itself on a model with known shares, for the proof by simulation.

`simulation.scenario` simulates thousands of runs with the code that weighs draws. Here a few dozen runs go through
everything that comes before that code: the sampler, the draws, the baseline replies that are decoded ahead, the judge,
and a resume from what the run left. The model is a small network whose next token is Y, M or N with known
probabilities, whatever it is asked; the judge takes these letters for support, neutral and oppose.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch

from driftwatch.drift.outcome import Outcome
from driftwatch.host.guard import undisturbed
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.simulation.rate import Rate
from driftwatch.stance import Probs
from driftwatch.store.run_store import Baseline
from driftwatch.testing import tiny_model, tiny_tokenizer
from driftwatch.topics.topic import Item, Topic
from driftwatch.watch.baselines import Baselines
from driftwatch.watch.confirm import Confirmed, Saved
from driftwatch.watch.preparing import PreparedReplies, ReplySetup

Shares = tuple[float, float, float]  # shares of support, neutral and oppose

LETTERS = "YMN"
OPEN: Shares = (0.4, 0.3, 0.3)
TOPICS, ITEMS, DRAWS = ("first", "second", "control"), 3, 12
_NEVER = -60.0  # logit of every token that is no letter of `LETTERS`


class Rehearsed(NamedTuple):
    """What one run found.

    Attributes:
        alert_look: Number of the observation with the first alert on any value topic, from 1; 0 for none.
        excluded: Whether any interval shown at any observation excluded 0.
        counts_TS: Counts of the present replies, by topic and stance.
        repeated: Topics whose baseline replies were not used once each, in order; 0 if all is right.
    """

    alert_look: int
    excluded: bool
    counts_TS: np.ndarray[Any, np.dtype[np.float64]]
    repeated: int


class Letters:
    """A judge that classifies a reply by its first letter."""

    id = "letters"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply, with probability 1 for the stance of its letter."""
        said = [one.reply.strip()[:1] for one in asked]
        return [Judgement(probs=Probs(*(float(one == letter) for letter in LETTERS))) for one in said]


class StandIn:
    """The model: a transformer that ignores its input and answers with given shares.

    Args:
        shares: The shares of its answers, until `says` changes them.
    """

    def __init__(self, shares: Shares = OPEN) -> None:
        self.tokenizer = tiny_tokenizer(chat_template=None)
        self.model = tiny_model(self.tokenizer, num_hidden_layers=1, tie_word_embeddings=False)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.zero_()
            self.model.model.norm.weight.fill_(1.0)
            self.model.get_input_embeddings().weight.fill_(1.0)  # every hidden state is a row of ones after the norm
        self.says(shares)

    def says(self, shares: Shares) -> None:
        """Answer with these shares from now on."""
        weight = self.model.get_output_embeddings().weight
        with torch.no_grad():
            weight.fill_(_NEVER / weight.shape[1])
            for letter, share in zip(LETTERS, shares, strict=True):
                (token,) = self.tokenizer.encode(letter, add_special_tokens=False)
                weight[token] = float(np.log(share)) / weight.shape[1]


def rehearse(
    model: StandIn,
    *,
    seed: int,
    looks: int = 8,
    alpha: float = 0.2,
    now: Shares = OPEN,
    onset: int = 2,
    resumed_after: int | None = 4,
) -> Rehearsed:
    """What one run of the product found: it begins, observes several times, and is resumed in between.

    Args:
        model: The model; it answers with `OPEN` at first, and with `now` from the observation `onset` on.
        seed: Seed of the run.
        looks: Number of observations, both planned and made.
        alpha: Requested rate of false alerts.
        now: Shares on every topic: the product must not call a general change specific, but must see it.
        onset: Number of the observation, from 1, at which the model begins to answer so.
        resumed_after: Number of the observation after which the run is resumed from its files; `None` for no resume.
    """
    topics = [
        Topic(name, name, ("a", "b"), name == "control", tuple(Item(f"{name}{i}", ("A.", "B.")) for i in range(ITEMS)))
        for name in TOPICS
    ]
    baselines = Baselines({"start": Baseline("start", "stand-in", {}, ())}, "start", None)
    settings = Confirmation(Letters(), Decoding(1.0, 1.0, 1, 256), normal_draws=DRAWS, watched_draws=2 * DRAWS)
    rng = np.random.default_rng([seed, 1])
    model.says(OPEN)

    def prepared() -> PreparedReplies:
        setup = ReplySetup(settings, topics)
        return setup.prepare(model.model, model.tokenizer, engine=None, tell_apart=lambda _: (0.0,), kept=None)

    with TemporaryDirectory() as folder, undisturbed(model.model) as asked:
        confirm = prepared().begin(
            asked,
            baselines,
            seed=seed,
            resolved=TOPICS,
            alpha=alpha,
            tolerance=dict.fromkeys(TOPICS, 0.05),
            planned_looks=looks,
            folder=Path(folder),
        )
        pool, found, attempt = list(confirm.supply.decoded), [], 0
        for look in range(1, looks + 1):
            model.says(now if look >= onset else OPEN)
            found.append(
                confirm.observe(
                    asked,
                    attempt=attempt,
                    look=look,
                    step=look,
                    screened=(),
                    max_draws=None,
                    rng=rng,
                )
            )
            if look == resumed_after:
                left = msgspec.json.decode(msgspec.json.encode(confirm.saved()), type=Saved)
                attempt += 1
                confirm, _ = prepared().resume(asked, baselines, left, pool, seed=seed, step=look, folder=Path(folder))
    return _found(found, pool)


def _found(looks: Sequence[Confirmed], pool: Sequence[Any]) -> Rehearsed:
    alerts = [number for number, look in enumerate(looks, 1) if any(row.in_alert for row in look.evidence)]
    intervals = [row.interval for look in looks for row in look.evidence if row.interval is not None]
    counts = np.zeros((len(TOPICS), 3))
    used: dict[str, list[tuple[str, int, str]]] = {name: [] for name in TOPICS}
    for look in looks:
        for pair in look.pairs:
            counts[TOPICS.index(pair.topic), int(Outcome(LETTERS.index(pair.now.text.strip()[:1])))] += 1
            used[pair.topic].append((pair.item, pair.order, pair.baseline.text))
    drawn = {name: [(r.item, int(r.order), r.text) for r in pool if r.topic == name] for name in TOPICS}
    repeated = sum(used[name] != drawn[name][: len(used[name])] for name in TOPICS)
    return Rehearsed(
        alert_look=alerts[0] if alerts else 0,
        excluded=any(not one.contains(0.0) for one in intervals),
        counts_TS=counts,
        repeated=repeated,
    )


class Rehearsal(NamedTuple):
    """What many runs found: the product must keep alpha, and its sampler must keep the shares.

    Attributes:
        quiet: Rate of alerts among the runs in which nothing moved.
        excluded: Rate of quiet runs in which any interval excluded 0.
        found: Rate of alerts among the runs in which the model moved.
        share_error: Largest difference of a stance's share from the truth, in standard errors.
        repeated: Topics whose baseline replies were not used once each, in order.
        problems: What is wrong, in sentences; empty if all is right.
    """

    quiet: Rate
    excluded: Rate
    found: Rate
    share_error: float
    repeated: int
    problems: tuple[str, ...]


MOVED: Shares = (0.75, 0.15, 0.10)


def rehearse_many(runs: int, *, seed: int = 0, alpha: float = 0.2) -> Rehearsal:
    """What many runs found: quiet ones, and a third as many in which the model moves, each resumed in between.

    Args:
        runs: Number of quiet runs.
        seed: The same seed gives the same figures.
        alpha: Requested rate of false alerts of each run; large, so that so few runs can show that it is broken.
    """
    model = StandIn()
    quiet = [rehearse(model, seed=1000 * seed + number, alpha=alpha) for number in range(runs)]
    moved = [rehearse(model, seed=1000 * seed + 500 + n, alpha=alpha, now=MOVED) for n in range(-(-runs // 3))]
    alerts, excluded = (
        Rate(sum(flags), runs) for flags in ([r.alert_look > 0 for r in quiet], [r.excluded for r in quiet])
    )
    found = Rate(sum(run.alert_look > 0 for run in moved), len(moved))
    counts_S = np.sum([run.counts_TS.sum(0) for run in quiet], 0)
    truth_S, drawn = np.array(OPEN), counts_S.sum()
    error = float((np.abs(counts_S / drawn - truth_S) / np.sqrt(truth_S * (1 - truth_S) / drawn)).max())
    repeated = sum(run.repeated for run in (*quiet, *moved))
    problems = [
        (alerts.lower > alpha, f"{alerts.value:.2f} of the quiet runs raised an alert, alpha is {alpha:g}"),
        (excluded.lower > 0.05, f"{excluded.value:.2f} of the quiet runs showed an interval without 0"),
        (found.upper < 0.9, f"only {found.value:.2f} of the runs that moved were found"),
        (error > 4, f"the replies' shares are {error:.1f} standard errors off"),
        (repeated > 0, f"the baseline's replies of {repeated} topics were not used once, in their order"),
    ]
    return Rehearsal(alerts, excluded, found, error, repeated, tuple(text for is_wrong, text in problems if is_wrong))
