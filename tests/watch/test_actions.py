from dataclasses import replace

import pytest
from support.builders import record
from support.trainings import callback, store, trainer

from driftwatch import plugins
from driftwatch.evidence.alerts import Alert
from driftwatch.testing import tiny_tokenizer
from driftwatch.watch.action import Action
from driftwatch.watch.actions import is_called_for
from driftwatch.watch.monitor import Monitor

SPECIFIC = Alert("parks", "direction", "alert", "specific", "warning", "parks moved")


@pytest.mark.parametrize("name", plugins.names("actions"))
def test_every_action_keeps_the_protocol(name):
    action = plugins.made("actions", name)
    assert isinstance(action, Action)
    assert action.name == name


def test_only_a_specific_alert_on_direction_calls_for_an_action():
    assert is_called_for(record(alerts=(SPECIFIC,)))
    assert not is_called_for(record(alerts=(replace(SPECIFIC, label="general"),)))
    assert not is_called_for(record(alerts=(replace(SPECIFIC, kind="neutral"),)))
    assert not is_called_for(record())


@pytest.fixture
def alerting(monkeypatch):
    """Every look at step 2 raises a specific alert."""
    observe = Monitor.observe

    def alarmed(self, model, step, **options):
        found = observe(self, model, step, **options)
        return replace(found, alerts=(SPECIFIC,)) if step == 2 else found

    monkeypatch.setattr(Monitor, "observe", alarmed)


def test_stop_ends_training_after_the_step_and_the_run_says_that_it_was_stopped(tmp_path, alerting):
    run = trainer(tmp_path, tiny_tokenizer(), [callback(tmp_path, actions=("stop",))], max_steps=6)
    run.train()
    assert run.state.global_step == 2
    assert store(tmp_path).state() == "stopped"


def test_save_leaves_a_checkpoint_of_the_step(tmp_path, alerting):
    trainer(tmp_path, tiny_tokenizer(), [callback(tmp_path, actions=("save",))], max_steps=3).train()
    assert (tmp_path / "out/checkpoint-2").is_dir()


def test_nothing_acts_by_default(tmp_path, alerting):
    run = trainer(tmp_path, tiny_tokenizer(), [callback(tmp_path)], max_steps=3)
    run.train()
    assert run.state.global_step == 3


def test_a_stop_request_that_a_trainer_ignores_is_reported(tmp_path, alerting, caplog):
    watch = callback(tmp_path, actions=("stop",))

    class Deaf(type(watch).__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = False

    trainer(tmp_path, tiny_tokenizer(), [watch, Deaf()], max_steps=3).train()
    assert "this trainer ignored the request of step 2 to stop" in caplog.text
