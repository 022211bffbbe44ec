"""Trainings by a Trainer on several ranks, in which something goes wrong on one of them; what `scenarios.py` runs."""

import hashlib
import itertools
import json
import logging
import os
import random
import shutil
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed as dist

from driftwatch import Confirmation, DriftCallback, RunStore, Schedule, callback
from driftwatch.errors import ConfigError, RanksError
from driftwatch.host import ranks
from driftwatch.judges.judge import Judgement
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies import draws
from driftwatch.replies.decoding import Decoding
from driftwatch.stance import Probs
from driftwatch.testing import tiny_model, tiny_pack, tiny_tokenizer
from driftwatch.watch.budget import Controller
from driftwatch.watch.monitor import Monitor

PACKAGE = str(Path(callback.__file__).parent)


def small_pack():
    """Two items per topic: what is shown here does not need more."""
    pack = tiny_pack()
    return replace(pack, topics=tuple(replace(topic, items=topic.items[:2]) for topic in pack.topics))


class ByLength:
    """A judge that reads anything: replies of a random model say nothing."""

    id = "by length"

    def read(self, asked):
        return [Judgement(probs=Probs(1.0, 0.0, 0.0) if len(one.reply) % 2 else Probs(0.0, 0.0, 1.0)) for one in asked]


def confirmation(judge=None):
    return Confirmation(judge or ByLength(), Decoding(max_new_tokens=2), normal_draws=5, watched_draws=5)


def watcher(folder, **settings):
    given = {
        "probes": (StatementProbe(naysaying_items=0),),
        "schedule": Schedule(every_steps=1, budget=None),
        "run": "watched",
        "output_dir": folder / "runs",
        "exporters": (),
        **settings,
    }
    return DriftCallback(small_pack(), **given)


def train(folder, callbacks=(), *, resume=None, steps=3, **settings):
    """A short training with plain replicas: where it ended, and a digest of its weights."""
    from transformers import Trainer, TrainingArguments, default_data_collator

    ids = torch.randint(6, 262, (64, 12), generator=torch.Generator().manual_seed(1))
    arguments = TrainingArguments(
        str(folder / "out"),
        max_steps=steps,
        per_device_train_batch_size=2,
        **{"save_strategy": "no", "use_cpu": True, "report_to": [], "disable_tqdm": True, **settings},
        logging_strategy="no",
    )
    tokenizer = tiny_tokenizer()
    trainer = Trainer(
        tiny_model(tokenizer),
        arguments,
        default_data_collator,
        [{"input_ids": row, "labels": row} for row in ids],
        [{"input_ids": row, "labels": row} for row in ids[:4]],
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    with warnings_heard() as said:
        trainer.train(resume_from_checkpoint=resume)
    sha = hashlib.sha256()
    for parameter in trainer.model.parameters():
        sha.update(parameter.detach().numpy().tobytes())
    return {"step": trainer.state.global_step, "weights": sha.hexdigest(), "said": said}


@contextmanager
def warnings_heard():
    """What driftwatch warns of meanwhile."""
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("driftwatch").addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("driftwatch").removeHandler(handler)


@contextmanager
def replaced(thing, **values):
    """Attributes that are others meanwhile."""
    before = {name: getattr(thing, name) for name in values}
    for name, value in values.items():
        setattr(thing, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(thing, name, value)


def looks(folder, run="watched"):
    """Of each record its number, step and failures; what rank 0 wrote."""
    dist.barrier()
    store = RunStore(folder / "runs" / run)
    if not store.exists:
        return []
    return [[record.look, record.step, [f.reason for f in record.failures]] for record in store.records()]


# What a rank would decide alone


def one_rank_watches(folder):
    """The callback is given to one rank only."""
    found = {"plain": train(folder)}
    with replaced(ranks, FIRST_SECONDS=1.0):
        for who in (0, 1):
            own = folder / f"on-{who}"
            found[f"on {who}"] = train(own, [watcher(own)] if ranks.rank() == who else [])
            found[f"on {who}"]["looks"] = looks(own)
    found["on both afterwards"] = train(folder, [watcher(folder)])
    found["looks"] = looks(folder)
    return found


def switched_off(folder):
    """The environment of one rank switches observations off, all the time or from step 2 on."""

    class Off(DriftCallback.__mro__[1]):
        def on_step_begin(self, args, state, control, **named):
            if ranks.rank() == 0 and state.global_step == 1:
                os.environ["DRIFTWATCH_DISABLED"] = "1"

    found = {"plain": train(folder)}
    for name in ("rank 0", "rank 1", "rank 0 later"):
        own = folder / name.replace(" ", "-")
        if name == f"rank {ranks.rank()}":
            os.environ["DRIFTWATCH_DISABLED"] = "1"
        try:
            found[name] = train(own, [watcher(own), *([Off()] if name == "rank 0 later" else [])])
        finally:
            os.environ.pop("DRIFTWATCH_DISABLED", None)
        found[name]["looks"] = looks(own)
    return found


def own_disks(folder):
    """A training goes on from a checkpoint that both nodes have; the run's folder is on the disk of the first alone."""
    found = {}
    for name in ("plain", "watched"):
        disk = folder / name / f"disk-{ranks.rank()}"
        disk.mkdir(parents=True)
        callbacks = (lambda disk=disk: [watcher(disk)]) if name == "watched" else list
        train(disk, callbacks(), steps=2, save_strategy="steps", save_steps=2)
        dist.barrier()
        if ranks.rank() == 1:
            shutil.copytree(folder / name / "disk-0" / "out", disk / "out", dirs_exist_ok=True)
        dist.barrier()
        found[name] = train(disk, callbacks(), steps=4, resume=str(disk / "out" / "checkpoint-2"))
    found["looks"] = looks(folder / "watched" / "disk-0")
    found["of rank 1"] = (folder / "watched" / "disk-1" / "runs").exists()
    return found


def another_world(folder):
    """A training that begins, or goes on where there is a checkpoint, on as many ranks as there are."""
    shared, steps = Path(os.environ["DRIFTWATCH_TEST_FOLDER"]), int(os.environ["DRIFTWATCH_TEST_STEPS"])
    resume = steps > 2
    return train(
        shared,
        [watcher(shared, confirm=confirmation())],
        steps=steps,
        save_strategy="steps",
        save_steps=2,
        resume=str(shared / "out" / "checkpoint-2") if resume else None,
    )


# A part of the user's own fails on one rank


class FailsOnce(StatementProbe):
    """The screen; and at step 2 something that one rank has no memory for, before or after it was asked."""

    def __init__(self, who, *, afterwards):
        super().__init__(naysaying_items=0)
        self._who, self._afterwards, self.is_armed = who, afterwards, False

    def measure(self, model, **options):
        fails = self.is_armed and ranks.rank() == self._who
        if fails and not self._afterwards:
            raise RuntimeError("no memory on this rank")
        found = super().measure(model, **options)
        if fails:
            raise RuntimeError("no memory on this rank")
        return found


class Arms(DriftCallback.__mro__[1]):
    """Has a probe fail at step 2, and lets a judge that waits go on at step 3; before driftwatch's turn."""

    def __init__(self, probe=None, released=None):
        self._probe, self._released = probe, released

    def on_step_end(self, args, state, control, **named):
        if self._probe is not None:
            self._probe.is_armed = state.global_step == 2
        if self._released is not None and state.global_step == 3:
            self._released.set()


class Acts:
    """An action that on one rank does something of its own."""

    name = "acts"

    def __init__(self, who, *, fails=False):
        self._who, self._fails = who, fails

    def act(self, record, control):
        if ranks.rank() == self._who:
            if self._fails:
                raise ConnectionError("the chat room is down")
            control.should_training_stop = True


class JudgeFails(ByLength):
    """Is no judge any more from its third reading on."""

    readings = 0

    def read(self, asked):
        self.readings += 1
        if self.readings == 3:
            raise ValueError("no memory for a judge")
        return super().read(asked)


def parts_fail(folder):
    """What is the user's own fails on one rank, at one step; the training and later observations go on."""
    found = {"plain": train(folder)}
    for who in (0, 1):
        for afterwards in (False, True):
            probe, name = FailsOnce(who, afterwards=afterwards), f"probe {who} {afterwards}"
            own = folder / name.replace(" ", "-")
            found[name] = train(own, [Arms(probe), watcher(own, probes=(probe,), confirm=confirmation())])
            found[name]["looks"] = looks(own)
        with replaced(callback, is_called_for=lambda record: record.look == 1):
            for fails in (True, False):
                name = f"action {who} {fails}"
                own = folder / name.replace(" ", "-")
                found[name] = train(own, [watcher(own, actions=[Acts(who, fails=fails)])])
                found[name]["looks"] = looks(own)
    own = folder / "judge"
    found["judge"] = train(own, [watcher(own, confirm=confirmation(JudgeFails()))])
    found["judge"]["looks"] = looks(own)
    return found


class Attaches:
    """An exporter that on one rank cannot be told of the Trainer."""

    name = "attaches"

    def __init__(self, fails):
        self._fails = fails

    def attach(self, args, state):
        if self._fails:
            raise OSError("no such tracker on this rank")

    def open(self, info, store):
        pass

    def export(self, record):
        pass

    def beat(self, time):
        pass

    def close(self, state):
        pass


def fails_once(call, *, at):
    """A function that fails at one of its calls."""
    calls = itertools.count(1)

    def failing(*arguments, **named):
        if next(calls) == at:
            raise RuntimeError("no memory on this rank")
        return call(*arguments, **named)

    return failing


def fails_between(folder):
    """One rank fails where nothing is exchanged just then, so that the others are about to wait for it elsewhere."""
    found = {"plain": train(folder)}
    for who in (0, 1):
        is_own = ranks.rank() == who
        own = folder / f"attach-{who}"
        found[f"attach {who}"] = train(own, [watcher(own, exporters=(Attaches(is_own),))])
        found[f"attach {who}"]["looks"] = looks(own)
        for number, (place, name, at) in enumerate(
            [
                (DriftCallback, "_make_room", 2),  # before anything of step 2
                (Controller, "is_due", 2),  # before the first exchange of step 2
                (DriftCallback, "_observe", 2),  # between deciding to observe and looking, at step 2
                (callback, "is_called_for", 2),  # after it
            ]
        ):
            own = folder / f"{number}-{who}"
            call = getattr(place, name)
            watch = watcher(own, actions=[Acts(2)])
            with replaced(place, **{name: fails_once(call, at=at)} if is_own else {}):
                found[f"{name} {who}"] = train(own, [watch])
            found[f"{name} {who}"]["looks"] = looks(own)
    return found


class Waits(ByLength):
    """Reads nothing until it is released."""

    def __init__(self):
        self.released = threading.Event()

    def read(self, asked):
        self.released.wait(60)
        return super().read(asked)


def judge_is_slow(folder):
    """A judge that takes longer than the other ranks can wait: its replies count at the next observation."""
    judge = Waits()
    with replaced(ranks, JUDGE_SHARE=0.02):
        found = train(folder, [Arms(released=judge.released), watcher(folder, confirm=confirmation(judge))], steps=4)
    found["looks"] = looks(folder)
    records = RunStore(folder / "runs" / "watched").records()
    found["draws"] = [max((e.num_draws for e in record.evidence), default=0) for record in records]
    return found | {"plain": train(folder, steps=4)}


class StopsEarly(DriftCallback.__mro__[1]):
    """Ends training at step 2, after driftwatch's turn; only now a judge reads on."""

    def __init__(self, released):
        self._released = released

    def on_step_end(self, args, state, control, **named):
        if state.global_step == 2:
            self._released.set()
            control.should_training_stop = True


def judge_reads_at_the_end(folder):
    """Replies still wait to be read when training is stopped and the best checkpoint is about to be put back."""
    judge = Waits()
    options = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    options |= {"steps": 4, "load_best_model_at_end": True}
    with replaced(ranks, JUDGE_SHARE=0.02):
        callbacks = [watcher(folder, confirm=confirmation(judge)), StopsEarly(judge.released)]
        found = train(folder, callbacks, **options)
    found["looks"] = looks(folder)
    return found | {"plain": train(folder / "plain", [StopsEarly(judge.released)], **options)}


# Ranks that hold other weights


def apart(folder):
    """Replicas that have grown apart are asked one by one: rank 0's."""
    outcome = {}
    for name, when in {"from the start": 0, "later": 1}.items():
        model = tiny_model(tiny_tokenizer()).train()
        watching = Monitor(
            small_pack(),
            probes=(StatementProbe(naysaying_items=0),),
            confirm=confirmation(),
            run=name.replace(" ", "-"),
            output_dir=folder / "runs",
            exporters=(),
        )

        def drift_away(model=model):
            if ranks.rank() == 1:
                with torch.no_grad():
                    model.model.layers[0].mlp.up_proj.weight += 0.5

        if when == 0:
            drift_away()
        first = watching.begin(model, tiny_tokenizer(), planned_steps=2)
        if when == 1:
            drift_away()
        second = watching.observe(model, 1)
        watching.close("finished")
        # Rank 0 has not moved, so nothing of what is recorded has.
        moved = max(abs(drift.log_odds_shift or 0.0) for drift in second.drifts if drift.probe == "statement")
        outcome[name] = {"notes": [list(first.notes), list(second.notes)], "moved": moved}
    return outcome


def refused(folder):
    """Models that cannot be asked on several ranks, each with its sentence."""
    from transformers import LlamaConfig, LlamaForCausalLM

    def pipeline(model):
        if ranks.rank() == 1:
            model.model.layers = model.model.layers[:1]

    def talking(collective):
        def with_hook(model):
            model.model.layers[0].register_forward_pre_hook(lambda *_: collective())

        return with_hook

    def swap():
        dist.all_to_all_single(torch.empty(2), torch.zeros(2))

    cases = {
        "pipeline": pipeline,
        "tokens": talking(swap),
        "unknown": talking(lambda: dist.all_reduce(torch.zeros(1))),
    }
    said = {}
    for name, change in cases.items():
        model = tiny_model(tiny_tokenizer())
        assert isinstance(model, LlamaForCausalLM)
        assert isinstance(model.config, LlamaConfig)
        change(model)
        watching = Monitor(small_pack(), probes=(StatementProbe(),), output_dir=folder, exporters=())
        try:
            watching.begin(model, tiny_tokenizer())
            said[name] = "no error"
        except (ConfigError, RanksError) as err:
            said[name] = f"{type(err).__name__}: {err}"
    return said


# Anything of ours fails at any call


class Hostile:
    """Lets one call of one function of driftwatch fail on this rank; counts the calls where it is given none.

    Not inside the one guard itself and what restores the model, nor where the Trainer calls us: there is no code of
    ours around those.
    """

    SPARED = ("_guarded", "_note_failure", "fail", "_described", "speaks", "_go_unwatched", "state", "looks")

    def __init__(self, name=None, at=0):
        self.calls = Counter()
        self._name, self._at = name, at
        self.has_struck = False

    def __enter__(self):
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _profile(self, frame, event, _):
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE) or frame.f_back is None:
            return
        module = Path(code.co_filename).stem
        is_ours = frame.f_back.f_code.co_filename.startswith(PACKAGE)
        if not is_ours or module in ("guard", "testing") or code.co_name in self.SPARED:
            return
        name = f"{module}.{code.co_qualname if sys.version_info >= (3, 11) else code.co_name}"
        self.calls[name] += 1
        if name == self._name and self.calls[name] == self._at:
            self.has_struck = True
            raise RuntimeError(f"out of luck in {name}")


def counted(folder):
    """What a training calls, by module and function; the plain outcome; and the same on every rank, by rank.

    Counted twice, and left out where the counts differ: how often an exchange asks whether something has arrived is up
    to the clock, and what is computed once a process is not called again.
    """
    found, counts = [], []
    for number in range(3):  # the first one fills caches
        watch = watcher(folder / f"counted-{number}", confirm=confirmation())  # outside: a wrong setting raises there
        with Hostile() as counting:
            found.append(train(folder / f"counted-{number}", [watch]))
        counts.append(counting.calls)
    assert found[0] == found[1] == found[2]
    by_rank = [None] * dist.get_world_size()
    steady = {name: number for name, number in sorted(counts[1].items()) if counts[2][name] == number}
    dist.all_gather_object(by_rank, steady)
    return found[0], by_rank


def drawn(seed, calls):
    """A rank, a function and the number of its call; a module first, so that none is drawn for its size."""
    rng, who = random.Random(seed), seed % len(calls)
    module = rng.choice(sorted({name.partition(".")[0] for name in calls[who]}))
    name = rng.choice([name for name in calls[who] if name.partition(".")[0] == module])
    return who, name, rng.randrange(calls[who][name]) + 1


def hostile(folder):
    """Trainings in which a random call fails on a random rank; DRIFTWATCH_TEST_SEEDS says which of them."""
    first, last = map(int, os.environ.get("DRIFTWATCH_TEST_SEEDS", "0,6").split(","))
    with replaced(ranks, WAIT_SHARE=0.05, JUDGE_SHARE=0.025, FIRST_SECONDS=2.0), noted_questions() as asked:
        plain, calls = counted(folder)
        found = {"plain": plain}
        for seed in range(first, last):
            who, name, at = drawn(seed, calls)
            asked.clear()
            own = folder / f"seed-{seed}"
            watch = watcher(own, confirm=confirmation())
            with Hostile(name if who == ranks.rank() else None, at) as striking:
                found[f"seed {seed}"] = train(own, [watch])
            struck = [None] * dist.get_world_size()
            dist.all_gather_object(struck, striking.has_struck)
            found[f"seed {seed}"] |= {
                "fault": f"rank {who}, {name}, call {at} of {calls[who][name]}",
                "struck": any(struck),
                "asked": dict(asked),
                "looks": looks(own),
                "refused": refused_replies(own),
            }
    return found


def refused_replies(folder):
    """Why a run draws no replies, though it was to."""
    store = RunStore(folder / "runs" / "watched")
    return store.info().replies_refused if store.exists else None


@contextmanager
def noted_questions():
    """What each observation meant to ask of the model in training on this rank, by the observation's number."""
    asked, ask = {}, draws.Interviewer.ask

    def noted(self, model, found, seed):
        key = list(seed.entropy)
        if len(key) == 4 and key[3] == 11:  # (seed, attempt, observation, NOW)
            asked[str(key[2])] = hashlib.sha256(json.dumps(found).encode()).hexdigest()
        return ask(self, model, found, seed)

    with replaced(draws.Interviewer, ask=noted):
        yield asked
