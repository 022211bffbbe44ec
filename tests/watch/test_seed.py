"""The seed of a run: another one for every training, kept with the run, and exact where it was given."""

import json

import pytest

from driftwatch.probes.statement import StatementProbe
from driftwatch.record.record import run_info_from_json
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_pack
from driftwatch.watch import opening
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.opening import new_run_id, seed_of
from driftwatch.watch.schedule import Schedule


@pytest.fixture
def begun(tmp_path, tiny_llama, tiny_tokenizer, monkeypatch):
    """Begins a run with ids as in real life, and gives its monitor."""
    monkeypatch.setattr("driftwatch.watch.beginning.new_run_id", opening.new_run_id)

    def begin(resume=None, **options):
        monitor = Monitor(
            tiny_pack(),
            run="r",
            output_dir=tmp_path,
            exporters=(),
            probes=(StatementProbe(naysaying_items=0),),
            schedule=Schedule(1, early_dense=False, budget=None),
            confirm=Confirmation(decoding=Decoding(max_new_tokens=1), normal_draws=4, watched_draws=4),
            **options,
        )
        monitor.begin(tiny_llama, tiny_tokenizer, planned_steps=3, resume=resume)
        return monitor

    return begin


def asked(monitor):
    """Items and orders, as they were drawn for the whole run."""
    return [(reply.topic, reply.item, reply.order) for reply in monitor._run.stage.decoded]


def test_no_two_runs_have_the_same_id_or_seed():
    ids = {new_run_id() for _ in range(50)}
    assert len(ids) == len({seed_of(run_id) for run_id in ids}) == 50
    assert all(0 <= seed_of(run_id) < 2**63 for run_id in ids)


def test_two_trainings_ask_different_questions_and_keep_what_they_drew_with(begun):
    first, second = begun(), begun()
    assert asked(first) != asked(second)
    for monitor in (first, second):
        kept = RunStore(monitor.store.folder).info()
        assert kept.seed == seed_of(kept.run_id) == monitor.info.seed


def test_a_given_seed_is_exact(begun):
    first, second, other = begun(seed=7), begun(seed=7), begun(seed=8)
    assert first.info.seed == second.info.seed == 7
    assert first.info.run_id != second.info.run_id
    assert asked(first) == asked(second) != asked(other)


def test_a_resumed_run_goes_on_with_its_own(begun):
    first = begun()
    first.close("stopped")
    again = begun(resume=first.store.folder)
    assert again.info.seed == first.info.seed
    assert again._run.rng(3, 2).random() != first._run.rng(3, 2).random(), "another attempt draws other numbers"
    again._run.attempt = first.attempt
    assert again._run.rng(3, 2).random() == first._run.rng(3, 2).random()


def test_runs_of_before_seeds_were_kept_can_be_read(begun):
    monitor = begun()
    text = (monitor.store.folder / "run.json").read_text()
    data = {key: value for key, value in json.loads(text).items() if key not in ("seed", "run_id")}
    info = run_info_from_json(json.dumps(data))
    assert (info.seed, info.run_id) == (None, "")
