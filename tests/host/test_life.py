"""The life of a trainer: whatever ends a training, the run ends with it, and nothing of it is held."""

import copy
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from support.small_trainings import callback, replies, small_pack, trainer
from transformers import TrainerCallback

from driftwatch import DriftCallback, Monitor, RunStore, Schedule
from driftwatch.exporters.prometheus import PrometheusExporter
from driftwatch.host.life import TrainingLoop, how_it_ended, training_loop
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer

FAR = 60.0  # seconds within which a thread has seen that its training is over


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


class Boom(TrainerCallback):
    """Ends a training at its second step as an error or a person does."""

    def __init__(self, kind):
        self.kind = kind

    def on_step_end(self, args, state, control, **kwargs):
        if self.kind is not None and state.global_step == 2:
            raise self.kind("as out of memory, or Ctrl-C")


def delivery_threads():
    return [thread for thread in threading.enumerate() if thread.name == "driftwatch-delivery"]


def given_up(folder, tokenizer, kind, **options):
    """A training that ended by an error that somebody caught; the callback, and a sign that its model lives."""
    model = tiny_model(tokenizer)
    alive = weakref.ref(model.model.embed_tokens.weight)
    watch = callback(folder, confirm=replies(), **options)
    run = trainer(folder, tokenizer, [watch, Boom(kind)], model=model)
    if kind is None:
        run.train()
    else:
        with pytest.raises(kind):
            run.train()
    run.accelerator.free_memory()
    return watch, alive


@pytest.mark.parametrize("kind", [None, KeyboardInterrupt, RuntimeError])
def test_nothing_of_a_training_is_held_after_it_even_where_the_callback_is_kept(tmp_path, tokenizer, kind):
    watch, alive = given_up(tmp_path, tokenizer, kind)
    sys.last_value = sys.last_traceback = None
    gc.collect()
    assert alive() is None
    assert watch.monitor.store is not None


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_a_training_that_ended_without_a_word_ends_its_run_and_frees_thread_and_port(tmp_path, tokenizer, kind):
    exporter = PrometheusExporter(port=0)
    watch, _ = given_up(tmp_path, tokenizer, kind, exporters=(exporter,))
    for thread in delivery_threads():
        thread.join(FAR)
    assert not delivery_threads()
    events = watch.monitor.store.events()
    assert [event.kind for event in events] == ["begin", "end"]
    assert events[-1].text in ("stopped", "failed")
    assert events[-1].step == 2
    assert exporter.url is None


def test_the_next_training_ends_the_run_of_one_that_was_interrupted(tmp_path, tokenizer):
    boom = Boom(KeyboardInterrupt)
    watch = callback(tmp_path)
    run = trainer(tmp_path, tokenizer, [watch, boom])
    with pytest.raises(KeyboardInterrupt):
        run.train()
    boom.kind = None
    run.train()
    states = [RunStore(tmp_path / "runs" / name).state() for name in ("r1", "r1-2")]
    assert states == ["failed", "finished"]
    assert [record.step for record in RunStore(tmp_path / "runs/r1-2").records()] == [0, 1, 2, 3]


def test_a_monitor_that_is_given_up_ends_its_run(tmp_path, tokenizer):
    monitor = Monitor(small_pack(), output_dir=tmp_path, run="r1", exporters=())
    model = tiny_model(tokenizer)
    monitor.begin(model, tokenizer)
    threads = delivery_threads()
    del monitor
    gc.collect()
    for thread in threads:
        thread.join(FAR)
    assert RunStore(tmp_path / "r1").state() == "failed"


def test_a_look_after_what_was_taken_for_the_end_is_kept(tmp_path, tokenizer):
    monitor = Monitor(small_pack(), output_dir=tmp_path, run="r1", exporters=())
    model = tiny_model(tokenizer)
    monitor.begin(model, tokenizer)
    threads = delivery_threads()
    monitor.end_with(holder := Boom(None))
    del holder
    gc.collect()
    for thread in threads:
        thread.join(FAR)
    assert RunStore(tmp_path / "r1").state() == "failed"
    monitor.observe(model, 1)
    monitor.close("finished")
    assert [record.step for record in RunStore(tmp_path / "r1").records()] == [0, 1]
    assert RunStore(tmp_path / "r1").state() == "finished"


def test_a_run_that_another_training_has_taken_over_is_left_alone_from_then_on(tmp_path, tokenizer, caplog):
    monitor = Monitor(small_pack(), output_dir=tmp_path, run="r1", exporters=())
    model = tiny_model(tokenizer)
    monitor.begin(model, tokenizer)
    monitor._run.output._delivery.close("failed", timeout=FAR)  # as when the loop was taken to be over
    heir = Monitor(small_pack(), output_dir=tmp_path, run="r1", exporters=())
    heir.begin(model, tokenizer, resume=tmp_path / "r1")
    monitor.observe(model, 1)
    assert "another process has gone on with the run" in caplog.text
    assert not monitor.is_due(2)
    assert not monitor.is_wanted_at_end(2)
    assert monitor.progress["folder"] is None, "a checkpoint of this training is none of that run"
    heir.observe(model, 2)
    heir.close("finished")
    monitor.close("finished")
    store = RunStore(tmp_path / "r1")
    assert [(record.attempt, record.step) for record in store.records()] == [(0, 0), (1, 2)]
    assert [event.kind for event in store.events()] == ["begin", "end", "begin", "end"]


def test_a_loop_is_running_as_long_as_it_is_on_its_threads_stack():
    found = []

    def train():
        loop = training_loop()
        found.append((loop, loop.is_running))
        return loop

    loop = train()
    assert found[0][1]
    assert not loop.is_running
    assert training_loop("no function of this name") is None


def test_another_call_of_the_same_function_is_another_loop():
    kept = []

    def train(depth):
        kept.append(TrainingLoop(sys._getframe()))
        return kept[0].is_running if depth == 0 else train(depth - 1)

    assert train(1)
    assert not kept[0].is_running


@pytest.mark.parametrize(("kind", "state"), [(KeyboardInterrupt, "stopped"), (MemoryError, "failed")])
def test_who_interrupts_stops_and_an_error_fails(kind, state):
    def fail():
        raise kind

    try:
        fail()
    except kind:
        assert how_it_ended(threading.get_ident()) == state


SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.small_trainings import callback, trainer
from transformers import TrainerCallback
from driftwatch import DriftCallback
from driftwatch.testing import tiny_tokenizer
class Act(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            {act}
folder = Path(sys.argv[1])
trainer(folder, tiny_tokenizer(), [callback(folder, exporters=("prometheus",)), Act()]).train()
"""


def in_a_process(folder, act):
    code = SCRIPT.format(tests=str(Path(__file__).parents[1]), act=act)
    env = {**os.environ, "DRIFTWATCH_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=env, capture_output=True, text=True, check=False
    )


def test_a_run_ends_by_sigterm_and_the_process_dies_of_it(tmp_path):
    done = in_a_process(tmp_path, "os.kill(os.getpid(), signal.SIGTERM)")
    assert done.returncode == -signal.SIGTERM, done.stderr
    store = RunStore(tmp_path / "runs/r1")
    assert store.state() == "stopped"
    assert [record.step for record in store.records()] == [0, 1, 2][: len(store.records())]


def test_a_handler_of_the_users_own_is_the_only_one(tmp_path):
    act = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); os.kill(os.getpid(), signal.SIGTERM)"
    done = in_a_process(tmp_path, act)
    assert done.returncode == 7, done.stderr
    assert RunStore(tmp_path / "runs/r1").state() == "failed"


def test_an_error_that_nobody_catches_ends_the_run(tmp_path):
    done = in_a_process(tmp_path, "raise KeyboardInterrupt")
    assert "KeyboardInterrupt" in done.stderr
    assert RunStore(tmp_path / "runs/r1").state() == "stopped"


def test_a_forked_worker_closes_what_it_inherits_and_writes_nothing(tmp_path):
    act = (
        "import urllib.request; watch = [*DriftCallback._made.values()][-1]; "
        "port = int(watch.monitor.url.rsplit(':', 1)[1]); pid = os.fork(); "
        "watch.monitor.close('failed') if pid == 0 else None; "
        "os._exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL) if pid == 0 else None; "
        "assert os.waitpid(pid, 0)[1] == 0; urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics').read()"
    )
    done = in_a_process(tmp_path, act)
    assert done.returncode == 0, done.stderr
    store = RunStore(tmp_path / "runs/r1")
    assert [event.text for event in store.events() if event.kind == "end"] == ["finished"]


def test_a_port_is_free_although_a_forked_worker_lives(tmp_path):
    from driftwatch.service.live import listening

    exporter = PrometheusExporter(port=0)
    monitor = Monitor(small_pack(), output_dir=tmp_path, run="r1", exporters=(exporter,))
    tokenizer = tiny_tokenizer()
    monitor.begin(tiny_model(tokenizer), tokenizer)
    port = int(exporter.url.rsplit(":", 1)[1])
    ready, leave = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(ready[1], b"x")
        os.close(leave[1])
        os.read(leave[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        monitor.close("finished")
        probe = listening("127.0.0.1", port)  # with SO_REUSEADDR: what still listens there would refuse it
        probe.close()
    finally:
        for end in (*leave, *ready):
            os.close(end)
        os.waitpid(pid, 0)


# Copies


def made(folder, tokenizer, how):
    if how == "with replies":
        return callback(folder, confirm=replies())
    watch = callback(folder, exporters=("prometheus", "trackers"))
    if how == "given its trainer":
        run = trainer(folder, tokenizer, [watch])
        watch.use_engine(run)
    if how == "after a training":
        trainer(folder, tokenizer, [watch], max_steps=1).train()
    return watch


@pytest.mark.parametrize("how", ["fresh", "with replies", "given its trainer", "after a training"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_the_same_settings_and_a_run_of_its_own(tmp_path, tokenizer, monkeypatch, how, copied):
    monkeypatch.setenv("DRIFTWATCH_PORT", "0")
    original = made(tmp_path, tokenizer, how)
    original.of_the_user = "kept"
    twin = copied(original)
    assert twin.of_the_user == "kept"
    assert twin.progress == {}
    assert twin.monitor is not original.monitor
    trainer(tmp_path, tokenizer, [twin], max_steps=1).train()
    assert twin.monitor.store.folder.parent == tmp_path / "runs"
    assert twin.monitor.store.folder != getattr(original.monitor.store, "folder", None)
    assert twin.monitor.store.state() == "finished"


class Derived(DriftCallback):
    """As a user derives one, with arguments of their own."""

    def __init__(self, folder, extra):
        super().__init__(tiny_pack(), output_dir=folder, exporters=())
        self.extra = extra


def test_a_callback_of_a_class_of_the_users_own_can_be_copied(tmp_path):
    twin = pickle.loads(pickle.dumps(Derived(tmp_path, "more")))
    assert isinstance(twin, Derived)
    assert twin.extra == "more"
    assert twin.monitor.output_dir == tmp_path


def test_cloudpickle_sends_it_to_other_processes(tmp_path, tokenizer):
    cloudpickle = pytest.importorskip("cloudpickle")
    watch = callback(tmp_path, confirm=replies(), exporters=("prometheus",))
    trainer(tmp_path, tokenizer, [watch], max_steps=1).train()
    assert pickle.loads(cloudpickle.dumps(watch)).progress == {}


# Places


@pytest.mark.parametrize("own", [None, "runs"])
def test_a_path_stays_what_it_was_when_the_process_changes_its_folder(tmp_path, tokenizer, monkeypatch, own):
    class Wander(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            monkeypatch.chdir(tmp_path / "elsewhere")

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    watch = DriftCallback(
        small_pack(), schedule=Schedule(every_steps=1, budget=None), exporters=(), run="r1", output_dir=own
    )
    run = trainer(Path(), tokenizer, [watch, Wander()])
    run.train()
    home = tmp_path / (own or "out/driftwatch")
    assert [record.step for record in RunStore(home / "r1").records()] == [0, 1, 2, 3]
    assert RunStore(home / "r1").state() == "finished"
    assert watch.progress["folder"] == str(home / "r1")


def test_several_active_adapters_are_all_put_back(tmp_path, tokenizer):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(tiny_model(tokenizer), config)
    for name in ("style", "ref"):
        model.add_adapter(name, config)
    model.base_model.set_adapter(["default", "style"])
    layers = [module for module in model.modules() if hasattr(module, "lora_A") and len(module.lora_A)]
    seen = []

    class Tell(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            trained = {name.split(".")[-2] for name, p in model.named_parameters() if p.requires_grad}
            seen.append(([list(layer.active_adapters) for layer in layers], trained, model.active_adapter))

    trainer(tmp_path, tokenizer, [Tell(), callback(tmp_path, confirm=replies())], model=model).train()
    assert RunStore(tmp_path / "runs/r1").info().alerting_baseline == "sft"
    assert all(found == [["default", "style"]] * len(layers) for found, _, _ in seen)
    assert {frozenset(trained) for _, trained, _ in seen} == {frozenset({"default", "style"})}
    assert {active for _, _, active in seen} == {"default"}


def test_a_failure_at_the_end_of_a_run_is_not_silent(tmp_path, tokenizer, caplog):
    watch = callback(tmp_path)
    run = trainer(tmp_path, tokenizer, [watch], max_steps=1)
    with caplog.at_level(logging.WARNING):
        run.train()
    assert not [record for record in caplog.records if record.name.startswith("driftwatch")]
