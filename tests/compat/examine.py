"""What the table says about a trainer, found out by training with it."""

import logging
from dataclasses import dataclass

import pytest
from compat.recipes import accepts_checkpoint
from support.invariance import CarelessProbe, assert_same, outcome, watcher

from driftwatch import RunStore

logger = logging.getLogger(__name__)

STEPS, SAVED_AT = 4, 2  # as the recipes set them


class ForgetfulProbe(CarelessProbe):
    """Careless about all but the mode: the SFT model behind adapters is asked after it, in the same observation."""

    def measure(self, model, **options):
        stances = super().measure(model, **options)
        model.eval()
        return stances


@dataclass(frozen=True)
class Found:
    """One row of the table, from real runs."""

    attaches: bool
    measures: bool
    identical: bool
    resumes: bool
    stops: bool


def examine(recipe, folder, monkeypatch):
    """Trains four times: without driftwatch, with it, on from a checkpoint, and asked to stop."""
    plain = recipe.make([], folder / "plain")
    plain.train()
    watched, store = _train(recipe, folder, "watched")
    return Found(
        attaches=store.info().trainer == recipe.trainer and store.state() == "finished",
        measures=_measures(store),
        identical=_same(plain, watched),
        resumes=_resumes(recipe, folder, store),
        stops=_stops(recipe, folder, monkeypatch),
    )


def _train(recipe, folder, name, *, actions=(), **train):
    watch = watcher(folder, probes=(ForgetfulProbe(naysaying_items=0),), actions=actions)
    trainer = recipe.make([watch], folder / name)
    trainer.train(**train)
    assert watch.monitor.store is not None
    return trainer, RunStore(watch.monitor.store.folder)


def _measures(store):
    """A figure for every topic at every step, and drift once the weights have moved."""
    records = store.records()
    assert [record.step for record in records] == list(range(STEPS + 1))
    assert not any(record.failures for record in records)
    screened = [[d.total_variation for d in record.drifts if d.probe == "statement"] for record in records]
    # With an SFT adapter the first observation is compared with the SFT model, too: another path to the same weights.
    assert screened[0] == pytest.approx([0.0] * len(screened[0]), abs=1e-4)
    drawn = sum(evidence.num_draws for evidence in records[-1].evidence)
    return bool(screened[-1]) and all(screened[-1]) and all(None not in row for row in screened) and drawn > 0


def _same(plain, watched):
    try:
        assert_same(outcome(plain), outcome(watched))
    except AssertionError as err:
        logger.warning("training is not the same: %s", err)  # pytest shows it with the failure
        return False
    return True


def _resumes(recipe, folder, store):
    """Whether training goes on from a checkpoint with its run, without a gap or a duplicate."""
    if not accepts_checkpoint(recipe.make([], folder / "asked")):
        return False
    trainer, resumed = _train(
        recipe, folder, "watched", resume_from_checkpoint=str(folder / f"watched/checkpoint-{SAVED_AT}")
    )
    assert resumed.folder == store.folder
    return trainer.state.global_step == STEPS and [(r.attempt, r.step) for r in resumed.records()] == [
        *((0, step) for step in range(SAVED_AT + 1)),
        *((1, step) for step in range(SAVED_AT + 1, STEPS + 1)),
    ]


def _stops(recipe, folder, monkeypatch):
    """Whether it heeds a request; one that is ignored must be reported in the run."""
    with monkeypatch.context() as patch:
        patch.setattr("driftwatch.callback.is_called_for", lambda record: record.step == SAVED_AT)
        trainer, store = _train(recipe, folder, "stopped", actions=("stop",))
    stopped = trainer.state.global_step == SAVED_AT
    ignored = [event.text for event in store.events() if event.kind == "stop ignored"]
    assert store.state() == ("stopped" if stopped else "finished")
    assert ignored == (
        [] if stopped else [f"this trainer ignored the request of step {SAVED_AT} to stop; stop it by hand"]
    )
    return stopped
