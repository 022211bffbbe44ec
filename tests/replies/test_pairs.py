"""What a run knows of how its replies are given and of its judge's own noise, in a real Trainer with a tiny model."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from support.by_letter import ByLetter, FarAway, confirmation
from support.trainings import callback, store, trainer, with_fresh_lora

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judgement
from driftwatch.judges.panel import Panel
from driftwatch.judges.worker import JudgeWorker
from driftwatch.record.record import record_from_json, to_json
from driftwatch.record.samples import samples
from driftwatch.stance import Probs
from driftwatch.testing import tiny_pack, tiny_tokenizer
from driftwatch.watch.observation import watched

TOPICS = [topic.id for topic in tiny_pack()]


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(autouse=True, scope="module")
def every_topic_is_drawn():
    """A random model has resolution on none of the value topics."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("driftwatch.drift.reliability._unresolved", lambda entry, reasons: None)
        yield


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A run with one judge by rules: its store, and the judge."""
    judge, folder = Counting(), tmp_path_factory.mktemp("counted")
    trained(folder, tiny_tokenizer(), judge)
    return store(folder), judge


def trained(tmp_path, tokenizer, judge, *, max_steps=4, before=()):
    """The records of a run with this judge, four draws per topic and observation."""
    watch = callback(tmp_path, confirm=confirmation(judge, watched_draws=4))
    trainer(tmp_path, tokenizer, [*before, watch], model=with_fresh_lora(tokenizer), max_steps=max_steps).train()
    return store(tmp_path).records()


def judge_floors(look):
    return [floor for floor in look.floors if floor.kind == "judge"]


class Counting(ByLetter):
    """Remembers what it was given, call by call."""

    id = "counting"

    def __init__(self):
        super().__init__()
        self.calls = []

    def read(self, asked):
        self.calls.append([one.reply for one in asked])
        return super().read(asked)


class Moody(ByLetter):
    """Reads a reply as it feels at the moment."""

    id = "moody"

    def __init__(self):
        super().__init__()
        self.random = random.Random(0)

    def _read(self, reply):
        return Judgement(probs=self.random.choice((Probs(1, 0, 0), Probs(0, 1, 0), Probs(0, 0, 1))))


class Contrary(ByLetter):
    """Finds the opposite of what the other one finds in half of the replies."""

    id = "contrary:weights:of:no:use"

    def _read(self, reply):
        found = super()._read(reply)
        is_other = found.probs is not None and ord(reply[-1]) % 2
        return replace(found, probs=Probs(*found.probs[::-1])) if is_other else found


def test_every_look_tells_how_both_sides_answered_as_the_kept_replies_say(counted):
    run, _ = counted
    first, *looks = run.records()
    assert first.styles == (), "before training nothing is read"
    for look in looks:
        assert [pair.topic for pair in look.styles] == TOPICS
        kept = [json.loads(line) for line in run.lines(f"replies/{look.look:06d}.jsonl")]
        for pair in look.styles:
            for side, style in (("now", pair.now), ("baseline", pair.baseline)):
                said = [line[side] for line in kept if line["topic"] == pair.topic]
                assert style.num_replies == len(said) == 4
                assert style.num_tokens == pytest.approx(np.mean([one["num_tokens"] for one in said]))
                assert style.entropy == pytest.approx(np.mean([one["entropy"] for one in said]))
                assert style.cut == pytest.approx(np.mean([not one["finished"] for one in said]))
                assert style.unread == pytest.approx(np.mean([one["outcome"] == 5 for one in said]))
    assert looks[-1] == record_from_json(to_json(looks[-1]))


def test_styles_reach_the_metrics_with_their_shifts(counted):
    run, _ = counted
    info, last = run.info(), run.records()[-1]
    found = {(s.metric.name, s.labels[1:]): s.value for s in samples(info, last, state="running")}
    for pair in last.styles:
        assert found["driftwatch_reply_tokens", (pair.topic,)] == pair.now.num_tokens
        shift = found["driftwatch_drift_reply_tokens_shift", (pair.topic, info.alerting_baseline)]
        assert shift == pytest.approx(pair.now.num_tokens - pair.baseline.num_tokens)
        assert found["driftwatch_hedging_ratio", (pair.topic,)] == 0.0
    assert found["driftwatch_noise_floor", ("confirm", "judge")] == 0.0
    assert not any(name.startswith("driftwatch_judge") for name, _ in found), "one judge cannot disagree"


def test_what_a_remote_judge_reads_late_is_told_by_the_look_at_which_it_was_read(tmp_path, tokenizer):
    class FarCounting(FarAway):
        def read(self, asked):
            calls.append(len(asked))
            return super().read(asked)

    judge, calls = FarCounting(), []

    class LetItRead(type(callback(tmp_path)).__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 6:
                judge.let.set()  # before the last observation, which waits for it

    _, *early, last = trained(tmp_path, tokenizer, judge, max_steps=6, before=[LetItRead()])
    assert [(look.styles, judge_floors(look)) for look in early] == [((), [])] * 2
    assert {pair.now.num_replies for pair in last.styles} == {12}, "four of each of three observations"
    assert [floor.score for floor in judge_floors(last)] == [0.0]
    assert calls == [24, 12, 24, 24], "twice at the first only, though it was not read when the others were made"


def test_a_judge_reads_the_baseline_s_replies_twice_once_a_run(counted):
    run, judge = counted
    _, first, second = run.records()
    draws = 4 * len(TOPICS)
    assert [len(call) for call in judge.calls] == [2 * draws, draws, 2 * draws], "what counts is read first"
    kept = [json.loads(line) for line in run.lines("replies/000001.jsonl")]
    assert judge.calls[1] == [line["baseline"]["text"] for line in kept]
    assert judge_floors(first) == judge_floors(second)
    assert [(floor.probe, floor.score, floor.magnitude) for floor in judge_floors(first)] == [("confirm", 0.0, 0.0)]


def test_a_judge_s_floor_of_zero_makes_no_topic_watched(tmp_path, tokenizer):
    """A run that learns nothing: the replies differ by chance, which is more than nothing."""
    watch = callback(tmp_path, confirm=confirmation(Counting()))
    options = {"learning_rate": 0.0, "max_steps": 4}
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), **options).train()
    info, last = store(tmp_path).info(), store(tmp_path).records()[-1]
    assert any(row.net_shift for row in last.evidence), "replies differ by chance"
    assert watched(last, info) == []
    assert {row.state for row in last.evidence} == {"ok"}


def test_a_judge_that_changes_its_mind_has_a_floor_above_zero_that_stays(tmp_path, tokenizer):
    first, *looks = trained(tmp_path, tokenizer, Moody())
    assert judge_floors(first) == []
    (floor,) = judge_floors(looks[0])
    assert 0 < floor.score <= 2
    assert floor.worst in TOPICS
    assert [judge_floors(look) for look in looks] == [[floor]] * len(looks)


def test_a_resumed_run_keeps_the_judge_s_floor_and_measures_it_no_more(tmp_path, tokenizer):
    settings = {"model": with_fresh_lora(tokenizer), "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation(Moody()))], **settings).train()
    (floor,) = judge_floors(store(tmp_path).records()[-1])
    again = Moody()
    again.calls = 0

    class Watching(Moody):
        def read(self, asked):
            again.calls += 1
            return super().read(asked)

    settings["model"] = with_fresh_lora(tokenizer)
    resumed = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation(Watching()))], **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    last = store(tmp_path).records()[-1]
    assert last.attempt == 1
    assert judge_floors(last) == [floor]
    assert again.calls == 1, "the one observation after the checkpoint, read once"


class SecondReadingFails(Counting):
    """Gives up on what it has read before, the first time."""

    id = "second-reading-fails"

    def read(self, asked):
        found = super().read(asked)
        if len(self.calls) == 2:
            raise JudgeError("not again")
        return found


def test_a_second_reading_that_fails_costs_no_look_and_is_tried_at_the_next(tmp_path, tokenizer, caplog):
    _, first, second = trained(tmp_path, tokenizer, SecondReadingFails())
    assert (first.failures, judge_floors(first), len(first.styles)) == ((), [], len(TOPICS))
    assert "how far the judge agrees with itself was not measured: not again" in caplog.text
    assert [floor.score for floor in judge_floors(second)] == [0.0]


@pytest.mark.parametrize("is_remote", [False, True], ids=["at once", "beside training"])
def test_a_panel_s_disagreement_is_told_by_every_look(tmp_path, tokenizer, is_remote):
    one, other = (FarAway() if is_remote else ByLetter()), Contrary()
    if is_remote:
        one.let.set()
    first, *_, last = trained(tmp_path, tokenizer, Panel([one, other]), max_steps=6)
    assert first.disagreement is None
    found = last.disagreement
    pair = "contrary/far-away" if is_remote else "by-letter/contrary"
    assert 0 < found.ratio < 1
    assert set(found.kappa) == {pair}
    assert found.kappa[pair] < 1
    assert found.absent == {}
    exported = {s.metric.name: (s.labels, s.value) for s in samples(store(tmp_path).info(), last, state="finished")}
    assert exported["driftwatch_judge_disagreement_ratio"] == (("r1",), found.ratio)
    assert exported["driftwatch_judge_kappa"] == (("r1", pair), found.kappa[pair])
    assert exported["driftwatch_judges_absent"] == (("r1",), 0)


def test_judges_that_are_absent_are_told_too(tmp_path, tokenizer):
    gone = ByLetter()
    gone.id, gone.failing = "gone", True
    *_, last = trained(tmp_path, tokenizer, Panel([ByLetter(), Contrary(), gone]))
    assert last.disagreement.absent == {"gone": "the judge is out"}
    assert last.failures == (), "two are left"


def test_a_worker_reads_twice_what_it_is_asked_to_and_only_that():
    judge = Counting()
    worker = JudgeWorker(judge)
    asked = [type("Asked", (), {"reply": text, "missing": None})() for text in ("a", "b")]
    worker.submit(1, asked, asked[:1])
    worker.submit(2, asked)
    first, second = worker.close(timeout=10)
    assert (len(first.readings), len(first.again)) == (2, 1)
    assert second.again is None
    assert judge.calls == [["a", "b"], ["a"], ["a", "b"]]
