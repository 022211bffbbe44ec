"""Replies on both sides, evidence and alerts, in a real Trainer with a tiny model."""

import itertools
import json

import msgspec
import pytest
import torch
from support.by_letter import ByLetter, FarAway, confirmation
from support.trainings import callback, store, trainer, with_fresh_lora

from driftwatch.drift import validity
from driftwatch.drift.outcome import Outcome
from driftwatch.errors import BaselineError, ConfigError
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.replies.confirmation import MIN_DRAWS, Confirmation, within
from driftwatch.replies.draws import Draw, draw
from driftwatch.replies.hearing import Heard, Hearing
from driftwatch.replies.pairs import Put, reply_pairs
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.sampling import Reply
from driftwatch.stance import Probs
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_pack, tiny_tokenizer
from driftwatch.watch.preparing import ReplySetup


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def test_evidence_moves_with_every_look_and_each_draw_has_both_sides(tmp_path, tokenizer):
    watch = callback(tmp_path, confirm=confirmation())
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=6).train()
    kept = store(tmp_path)
    looks = kept.records()
    assert looks[0].evidence == (), "before training both sides are the same model"
    per_look = [{row.topic: row.num_draws for row in look.evidence if row.kind == "direction"} for look in looks[1:]]
    assert all(later["tea"] > earlier["tea"] for earlier, later in itertools.pairwise(per_look))
    pairs = [json.loads(line) for line in kept.lines("replies/000001.jsonl")]
    assert len(pairs) == sum(per_look[0].values())
    assert {"now", "baseline", "item", "order", "topic"} <= set(pairs[0])
    assert [d.topic for d in looks[-1].drifts if d.probe == "confirm"]


def test_a_screen_that_does_not_say_what_the_replies_say_shows_no_levels(tmp_path, tokenizer, monkeypatch):
    """The judge goes by the reply's first letter, which a random model's likelihoods know nothing about."""
    monkeypatch.setattr(validity, "MIN_ITEMS", 6)  # of three tiny topics, a random model has resolution on one
    watch = callback(tmp_path, confirm=confirmation(normal_draws=40, watched_draws=40))
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=4).train()
    before, *_, last = store(tmp_path).records()
    levels, hidden = ([s for s in look.stances if s.probe == "statement"] for look in (before, last))
    assert all(share.probs is not None for share in levels)
    assert last.agreement["statement"] < 0.4
    assert {(share.probs, share.unscored.split(":")[0]) for share in hidden} == {(None, "levels are hidden")}
    assert all(d.log_odds_shift is not None for d in last.drifts if d.probe == "statement"), "shifts stay"


def test_a_run_that_learns_nothing_raises_no_alert(tmp_path, tokenizer):
    watch = callback(tmp_path, confirm=confirmation())
    options = {"learning_rate": 0.0, "max_steps": 12}
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), **options).train()
    assert all(look.alerts == () for look in store(tmp_path).records())


def test_without_a_reachable_baseline_its_replies_are_drawn_before_training_and_used_once(tmp_path, tokenizer):
    watch = callback(tmp_path, confirm=confirmation())
    trainer(tmp_path, tokenizer, [watch], max_steps=4).train()
    kept = store(tmp_path)
    pool = [msgspec.json.decode(line, type=BaselineReply) for line in kept.lines("baseline-replies.jsonl")]
    used = [json.loads(line) for look in (1, 2) for line in kept.lines(f"replies/{look:06d}.jsonl")]
    for topic in {entry["topic"] for entry in used}:
        asked = [
            (entry["item"], entry["order"], entry["baseline"]["text"]) for entry in used if entry["topic"] == topic
        ]
        drawn = [(entry.item, entry.order, entry.text) for entry in pool if entry.topic == topic]
        assert asked == drawn[: len(asked)], "each entry once, in its order"


def test_a_topic_whose_baseline_replies_are_used_up_is_frozen_and_says_so(tmp_path, tokenizer):
    watch = callback(tmp_path, confirm=confirmation(normal_draws=2, watched_draws=2))
    run = trainer(tmp_path, tokenizer, [watch], max_steps=4)

    class LongerThanPlanned(type(run.callback_handler.callbacks[0]).__mro__[1]):
        def on_train_end(self, args, state, control, **kwargs):
            watch.monitor.observe(kwargs["model"], 5)
            watch.monitor.observe(kwargs["model"], 6)

    run.callback_handler.callbacks.insert(0, LongerThanPlanned())
    run.train()
    last = store(tmp_path).records()[-1]
    assert any("are used up; their evidence is frozen" in note for note in last.notes)


def test_a_judge_that_fails_costs_the_replies_of_that_look_only(tmp_path, tokenizer, caplog):
    judge = ByLetter()
    watch = callback(tmp_path, confirm=confirmation(judge))

    class Break(type(watch).__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            judge.failing = state.global_step < 3

    trainer(tmp_path, tokenizer, [Break(), watch], model=with_fresh_lora(tokenizer), max_steps=4).train()
    broken, whole = store(tmp_path).records()[1:]
    assert broken.failures[0].probe == "confirm"
    assert broken.drifts, "the screen goes on"
    assert whole.failures == ()
    assert whole.evidence
    assert whole.cost.failures_total == {"confirm/JudgeError": 1}


def test_a_resumed_run_goes_on_from_the_latest_evidence(tmp_path, tokenizer):
    """Observations after the checkpoint are superseded for curves, but their draws count: nothing is taken back."""
    options = {"save_strategy": "steps", "save_steps": 2}
    first = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], max_steps=6, **options)
    first.train()

    def draws(record):
        return {row.topic: row.num_draws for row in record.evidence if row.kind == "direction"}

    before = draws(store(tmp_path).records()[-1])
    again = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], max_steps=4)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    after = draws(store(tmp_path).records()[-1])
    assert all(after[topic] > before[topic] for topic in before)


def test_a_resumed_run_whose_judge_is_out_goes_on_hiding_levels(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(validity, "MIN_ITEMS", 6)
    judge, out = ByLetter(), {"save_strategy": "steps", "save_steps": 4}
    draws = {"normal_draws": 40, "watched_draws": 40}
    watch = callback(tmp_path, confirm=confirmation(judge, **draws))
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=4, **out).train()
    judge.failing = True
    watch = callback(tmp_path, confirm=confirmation(judge, **draws))
    again = trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=6)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    last = store(tmp_path).records()[-1]
    assert (last.step, last.failures[0].reason) == (6, "JudgeError: the judge is out")
    hidden = [stance for stance in last.stances if stance.probe == "statement"]
    assert {(share.probs, share.unscored.split(":")[0]) for share in hidden} == {(None, "levels are hidden")}


def test_evidence_of_another_version_is_refused_with_what_to_do(tmp_path, tokenizer):
    saving = {"save_strategy": "steps", "save_steps": 2}
    trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], max_steps=2, **saving).train()
    (tmp_path / "runs/r1/baseline-replies.jsonl").write_text('{"topic":"a","item":"b","order":0,"text":"Tea."}\n')
    again = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], max_steps=4)
    with pytest.raises(BaselineError, match=r"begin a run of another name"):
        again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))


def test_a_pack_without_sides_draws_no_replies_and_says_so():
    with pytest.raises(ConfigError, match=r"the pack has none; add sides"):
        ReplySetup(confirmation(), [])


def test_where_a_remote_judge_is_waited_for_nothing_is_read_twice():
    judge = FarAway()
    judge.let.set()
    hearing = Hearing(judge)
    topic = tiny_pack().topics[0]
    asked = [Asked(topic.id, topic.poles, topic.items[0], "two_sided", 0, "?", "tea")]
    (heard,) = hearing.put(1, asked, asked, wait=60, twice=True)
    assert (len(heard.now), heard.again) == (1, None)


def test_another_judge_than_the_baseline_s_is_refused(tmp_path, tokenizer):
    from driftwatch.errors import BaselineError

    trainer(tmp_path, tokenizer, [callback(tmp_path, run="sft", confirm=confirmation())], max_steps=2).train()
    other = ByLetter()
    other.id = "another"
    watch = callback(tmp_path, run="dpo", baseline=tmp_path / "runs/sft", confirm=confirmation(other))
    with pytest.raises(BaselineError, match="the judge differs"):
        trainer(tmp_path, tokenizer, [watch]).train()


def test_draws_are_uniform_over_items_and_orders():
    import numpy as np

    topics = tiny_pack().topics
    found = draw(topics, {"parks": 6000}, np.random.default_rng(0))
    assert {d.topic for d in found} == {"parks"}
    counts = {}
    for d in found:
        counts[d.item, d.order] = counts.get((d.item, d.order), 0) + 1
    assert len(counts) == 12
    assert all(abs(count - 500) < 5 * 500**0.5 for count in counts.values())


def test_a_short_budget_scales_all_topics_alike_and_keeps_a_few_draws_each():
    assert within({"a": 48, "b": 16}, None) == {"a": 48, "b": 16}
    assert within({"a": 48, "b": 16}, 32) == {"a": 24, "b": 8}
    assert within({"a": 48, "b": 2}, 1) == {"a": MIN_DRAWS, "b": 2}


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="as many draws"):
        Confirmation(judge=ByLetter(), normal_draws=10, watched_draws=5)


def test_training_does_not_wait_for_a_remote_judge_and_late_readings_find_their_look(tmp_path, tokenizer):
    judge = FarAway()
    watch = callback(tmp_path, confirm=confirmation(judge))

    class LetItRead(type(watch).__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 6:
                judge.let.set()  # before the last observation, which waits for it

    run = trainer(tmp_path, tokenizer, [LetItRead(), watch], model=with_fresh_lora(tokenizer), max_steps=6)
    run.train()
    late = store(tmp_path)
    first, *_, last = late.records()[1:]
    assert {row.num_draws for row in first.evidence} == {0}
    assert {row.num_draws for row in last.evidence if row.kind == "direction"} == {12}, "four at each of three"
    pairs = [json.loads(line) for look in (1, 2, 3) for line in late.lines(f"replies/{look:06d}.jsonl")]
    assert {(pair["look"], pair["step"]) for pair in pairs} == {(1, 2), (2, 4), (3, 6)}


def test_a_look_that_a_remote_judge_cannot_read_is_marked_and_moves_no_evidence(tmp_path, tokenizer):
    judge = FarAway()
    judge.failing = True
    judge.let.set()
    watch = callback(tmp_path, confirm=confirmation(judge))
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=4).train()
    last = store(tmp_path).records()[-1]
    assert last.cost.failures_total == {"confirm/JudgeError": 2}
    assert {row.num_draws for row in last.evidence} == {0}
    assert last.failures[-1].reason == "the replies of step 4 were not read: the judge is out"


def test_a_remote_judge_is_given_both_sides_in_turn():
    """So that a deadline that cuts its work short strikes both sides alike."""
    seen = []

    class Watching(FarAway):
        def read(self, asked):
            seen.extend(one.reply for one in asked)
            return super().read(asked)

    judge = Watching()
    judge.let.set()
    topic = tiny_pack().topics[0]
    now, before = (
        [Asked(topic.id, topic.poles, item, "two_sided", 0, "?", f"{side}{n}") for n, item in enumerate(topic.items)]
        for side in ("now", "before")
    )
    hearing = Hearing(judge)
    (heard,) = hearing.put(3, now, before, wait=60)
    assert seen[:4] == ["before0", "now0", "now1", "before1"], "neither side is always the first of its pair"
    assert heard == Heard(3, ByLetter().read(now), ByLetter().read(before)), "each reading is given back to its reply"
    assert hearing.num_waiting == 0


@pytest.mark.parametrize(
    ("reading", "outcome"),
    [
        (Judgement(probs=Probs(0.9, 0.1, 0.0)), Outcome.SUPPORT),
        (Judgement(refusal=True), Outcome.REFUSAL),
        (Judgement(unread="garbled"), Outcome.UNREAD),
    ],
)
def test_a_reading_becomes_one_outcome(reading, outcome):
    class Saying:
        id = "saying"

        def read(self, asked):
            return [reading] * len(asked)

    topic = tiny_pack().topics[0]
    asked = [Asked(topic.id, topic.poles, topic.items[0], "two_sided", 0, "?", "x")]
    (heard,) = Hearing(Saying()).put(0, asked, asked, wait=0)
    reply = Reply("x", 1, False, 0.5)
    (pair,) = reply_pairs(Put(2, [Draw(topic.id, topic.items[0].id, 0)], [reply], [reply]), heard)
    assert [said.outcome for said in (pair.now, pair.baseline)] == [outcome, outcome]
    assert (pair.now.text, pair.now.num_tokens, pair.now.finished, pair.now.entropy) == ("x", 1, False, 0.5)


def resumed(tmp_path, tokenizer, *, change=lambda model, run: None):
    """A run with a fresh adapter, resumed from its checkpoint on a model and a folder that were changed in between."""
    saving = {"save_strategy": "steps", "save_steps": 2}
    trainer(
        tmp_path,
        tokenizer,
        [callback(tmp_path, confirm=confirmation())],
        model=with_fresh_lora(tokenizer),
        max_steps=2,
        **saving,
    ).train()
    model = with_fresh_lora(tokenizer)
    change(model, tmp_path / "runs/r1")
    again = trainer(tmp_path, tokenizer, [callback(tmp_path, confirm=confirmation())], model=model, max_steps=4)
    again.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    return store(tmp_path)


def heavier(by):
    """One weight of the base, under the adapters, moved by a little; as after merging another adapter into it."""

    def change(model, run):
        with torch.no_grad():
            model.base_model.model.model.layers[0].mlp.down_proj.base_layer.weight[:] *= 1 + by

    return change


def made_on_an_a100(model, run):
    kept = json.loads((run / "baseline-start.json").read_text())
    kept["identity"]["kernels"] = "an A100"
    (run / "baseline-start.json").write_text(json.dumps(kept))


def test_a_resumed_run_whose_baseline_model_is_what_it_was_says_nothing_of_it(tmp_path, tokenizer):
    kept = resumed(tmp_path, tokenizer)
    assert [event.kind for event in kept.events()] == ["begin", "end", "begin", "end"]
    assert kept.records()[-1].notes == ()


def test_a_base_with_something_merged_into_it_is_not_the_baseline_model_of_a_resumed_run(tmp_path, tokenizer):
    kept = resumed(tmp_path, tokenizer, change=heavier(0.03))
    (event,) = [event for event in kept.events() if event.kind == "baseline"]
    assert (event.attempt, event.text.endswith("it is another model")) == (1, True)
    assert "the baseline model is not what it was" in kept.records()[-1].notes[0]


def test_a_run_that_goes_on_elsewhere_knows_its_baseline_model_up_to_rounding_and_says_so(tmp_path, tokenizer):
    def change(model, run):
        heavier(0.03)(model, run)
        made_on_an_a100(model, run)

    kept = resumed(tmp_path, tokenizer, change=change)
    (event,) = [event for event in kept.events() if event.kind == "baseline"]
    assert "taken for rounding (kernels an A100 → cpu" in event.text
    assert kept.records()[-1].notes == (), "the evidence goes on"


def test_what_a_judge_did_not_read_in_one_training_is_said_there_and_reaches_no_other(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr("driftwatch.watch.replies.END_WAIT", 0.05)
    judge = FarAway()
    watch = callback(tmp_path, confirm=confirmation(judge))
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=4).train()
    left = [failure.reason for failure in store(tmp_path).records()[-1].failures]
    assert [reason[:44] for reason in left] == [f"the replies of step {n} were not read: the judg"[:44] for n in (2, 4)]
    judge.let.set()
    monkeypatch.setattr("driftwatch.watch.replies.END_WAIT", 60.0)
    watch.monitor.run = "r2"
    trainer(tmp_path, tokenizer, [watch], model=with_fresh_lora(tokenizer), max_steps=2).train()
    (last,) = RunStore(tmp_path / "runs" / "r2").records()[1:]
    assert last.failures == ()
    assert {row.num_draws for row in last.evidence if row.kind == "direction"} == {4}
