"""Real GRPO and RLOO trainings that sample with vLLM, whose engine writes driftwatch's replies, too.

The trainers and what they do with vLLM are TRL's own; vLLM itself is a stand-in with a model of its own
(`fake_vllm.py`), which learns of new weights only as vLLM does.
"""

import inspect
import itertools
import json
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import msgspec
import pytest
import torch
import trl
from support import fake_vllm
from support.fake_vllm import VERSION, Client
from support.invariance import ByLength, StopEarly, assert_same, outcome, preferences, renamed, trl_settings, watcher
from transformers import AutoModelForCausalLM, TrainerCallback, set_seed

from driftwatch.errors import BaselineError
from driftwatch.replies import draws
from driftwatch.replies import vllm as engine
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.pool import BaselineReply
from driftwatch.replies.vllm import find_engine
from driftwatch.testing import tiny_model
from driftwatch.watch.confirm import Confirmation

pytestmark = renamed
SLEEPING, ADAPTED = {"vllm_enable_sleep_mode": True}, {"adapter": True}
GONE, NO_ROOM = ("failing", True, False), ("fails_to_load", 3, None)  # what of the engine is set to break and repair it
DECODING = Decoding(temperature=0.9, top_p=0.95, max_new_tokens=3)


@pytest.fixture
def engines(monkeypatch):
    """Those that TRL makes, in their order."""
    return fake_vllm.put_in_place(monkeypatch)


@pytest.fixture
def make(tiny_folder, tiny_tokenizer, engines, monkeypatch):
    """A maker of trainers that sample with vLLM: the same model, data and seeds each time."""

    def made(ours, folder, *, kind="GRPO", adapter=False, **settings):
        from peft import LoraConfig

        set_seed(0)
        arguments = {"num_generations": 2, "max_completion_length": 6, "beta": 0.0}
        arguments |= {"use_vllm": True, "vllm_mode": "colocate"}
        model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
        trainer = getattr(trl, f"{kind}Trainer")(
            model,
            reward_funcs=by_letters,
            args=getattr(trl, f"{kind}Config")(**{**arguments, **trl_settings(folder), **settings}),
            train_dataset=preferences().select_columns(["prompt"]),
            processing_class=tiny_tokenizer,
            peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"]) if adapter else None,
            callbacks=ours,
        )
        fake_vllm.forget_ranks(monkeypatch)
        return trainer

    return made


def by_letters(completions, **_):
    """A reward that hardly ever is the same for two replies, so that a step moves the weights."""
    return [float(sum(map(ord, completion)) % 101) for completion in completions]


def confirming(**options):
    return {"confirm": Confirmation(ByLength(), DECODING, normal_draws=4, watched_draws=4), **options}


def watched(make, folder, *more, options=None, **settings):
    """A training that driftwatch looks at with the trainer's own engine; its callback, trainer and records."""
    callback = watcher(folder, **confirming(**(options or {})))
    trainer = make([*more, callback], folder / "watched", **settings)
    callback.use_engine(trainer)
    trainer.train()
    return callback, trainer, callback.monitor.store.records()


def unsampled(monkeypatch):
    """Sampling in-process fails the test."""

    def refuse(*_, **__):
        raise AssertionError("replies must come from the engine")

    monkeypatch.setattr(draws, "sample", refuse)


class Remember(TrainerCallback):
    """The weights at each step, as vLLM should have them: adapters merged."""

    def __init__(self):
        self.weights = []

    def on_train_begin(self, args, state, control, **kwargs):
        self._keep(kwargs["model"])

    def on_step_end(self, args, state, control, **kwargs):
        self._keep(kwargs["model"])

    def _keep(self, model):
        if hasattr(model, "merge_and_unload"):
            with torch.random.fork_rng(devices=[]):
                copy = AutoModelForCausalLM.from_config(model.config)
            plain = {name: p.detach().clone() for name, p in model.get_base_model().named_parameters()}
            merged = {name.replace(".base_layer", ""): tensor for name, tensor in plain.items() if ".lora_" not in name}
            for name, module in model.get_base_model().named_modules():
                if hasattr(module, "lora_A"):
                    merged[f"{name}.weight"] += module.get_delta_weight("default").detach()
            copy.load_state_dict(merged)
            model = copy
        self.weights.append({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})


# TRL's side of the border


def test_what_is_called_of_trl_is_there_as_it_is_called():
    """The trainings below run through TRL's own code; this holds the stand-in and the calls to it."""
    from trl.generation.vllm_client import VLLMClient
    from trl.generation.vllm_generation import VLLMGeneration

    assert list(inspect.signature(VLLMGeneration.sync_weights).parameters) == ["self"]
    assert {"mode", "enable_sleep_mode", "tensor_parallel_size"} <= set(inspect.signature(VLLMGeneration).parameters)
    for theirs, ours in ((VLLMClient.generate, Client.generate), (VLLMClient, Client)):
        parameters = [inspect.signature(each).parameters.values() for each in (theirs, ours)]
        assert len({tuple((p.name, p.default) for p in found) for found in parameters}) == 1


# Training goes on as if nothing had been asked


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("GRPO", SLEEPING), ("GRPO", ADAPTED), ("RLOO", {}), ("RLOO", {**SLEEPING, **ADAPTED})],
    ids=str,
)
def test_training_is_bit_identical_and_its_engine_writes_replies(make, engines, tmp_path, monkeypatch, kind, settings):
    unsampled(monkeypatch)
    plain = make([], tmp_path / "plain", kind=kind, **settings)
    plain.train()
    remember = Remember()
    callback, trainer, records = watched(make, tmp_path, remember, kind=kind, **settings)
    assert_same(outcome(plain), outcome(trainer))
    assert [record.step for record in records] == [0, 1, 2, 3, 4]
    assert all(record.failures == () for record in records)
    assert records[-1].evidence[0].num_draws > 0
    generated = [[entry for entry in llm.log if entry[0] == "train"] for llm in engines]
    assert generated[0] == generated[1]
    assert engines[0].asked == []
    assert engines[1].awake == engines[0].awake, "an engine that slept sleeps again"
    assert trainer._last_loaded_step == plain._last_loaded_step
    _, second, *later = engines[1].asked  # a first question, then the baseline's replies before training
    for (_, weights), of_step in zip([second, *later], remember.weights, strict=True):
        assert_same(of_step, weights)
    pairs = itertools.pairwise(remember.weights)
    moved = [any(not torch.equal(earlier[name], now[name]) for name in now) for earlier, now in pairs]
    assert sum(moved) >= 3, "old weights would be noticed"
    assert "vLLM" in callback.monitor.info.identity["confirm/sampler"]


def test_every_reply_that_is_kept_is_one_that_the_engine_wrote(make, engines, tmp_path, tiny_tokenizer):
    callback, *_ = watched(make, tmp_path)
    store = callback.monitor.store
    _, (pool, _), *looks = engines[0].asked

    def texts(replies):
        return [tiny_tokenizer.decode(ids, skip_special_tokens=True).strip() for _, ids in replies]

    before = [msgspec.json.decode(line, type=BaselineReply) for line in store.lines("baseline-replies.jsonl")]
    assert [reply.text for reply in before] == texts(pool)
    assert {reply.entropy for reply in before} == {None}
    for look, (replies, _) in enumerate(looks, start=1):
        pairs = [json.loads(line) for line in store.lines(f"replies/{look:06d}.jsonl")]
        assert [pair["now"]["text"] for pair in pairs] == texts(replies)
    settings = [params for replies, _ in engines[0].asked for params, _ in replies]
    seeds = [params.seed for params in settings]
    assert len(set(seeds)) == len(seeds), "the same question twice must not get the same reply"
    assert {(p.temperature, p.top_p, p.max_tokens, p.top_k, p.min_p) for p in settings} == {(0.9, 0.95, 3, 0, 0.0)}
    assert {tuple(p.stop_token_ids) for p in settings} == {(tiny_tokenizer.eos_token_id,)}


def test_the_same_run_gets_the_same_replies(make, tmp_path):
    first, second = (watched(make, tmp_path / name)[0].monitor.store for name in ("a", "b"))
    for file in ("baseline-replies.jsonl", "replies/000004.jsonl"):
        assert list(first.lines(file)) == list(second.lines(file))


def test_adapters_that_are_merged_once_more_would_make_another_training(make, tmp_path, monkeypatch):
    """What the comparison above would find if the base weights were not put back to the last bit."""
    plain = make([], tmp_path / "plain", adapter=True)
    plain.train()
    monkeypatch.setattr(engine, "_adapters_taken_out", lambda model: nullcontext())
    _, trainer, _ = watched(make, tmp_path, adapter=True)
    with pytest.raises(AssertionError, match="weights"):
        assert_same(outcome(plain), outcome(trainer))


@pytest.mark.filterwarnings("ignore:Model (with|has) .tie_word_embeddings:UserWarning")  # PEFT's, of exports
@pytest.mark.parametrize("adapted", ["lm_head", "embed_tokens"])
def test_adapters_on_weights_that_two_layers_share_are_taken_out_to_the_last_bit(tiny_tokenizer, adapted):
    """They are named once, after either layer. TRL 1.12 to 1.16 refuse to adapt a head; other layers may share, too."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=[adapted], init_lora_weights=False)
    model = get_peft_model(tiny_model(tiny_tokenizer, tie_word_embeddings=True), config)
    shared = model.get_base_model().lm_head.weight
    assert shared is model.get_base_model().model.embed_tokens.weight
    before, pointer = shared.detach().clone(), shared.data_ptr()

    def merge_often():
        for _ in range(5):
            model.merge_adapter()
            model.unmerge_adapter()

    with engine._adapters_taken_out(model):
        merge_often()
        assert not torch.equal(shared, before), "rounding would be noticed"
    assert torch.equal(shared, before)
    assert shared.data_ptr() == pointer
    assert model.get_base_model().lm_head.weight is model.get_base_model().model.embed_tokens.weight


def test_what_handing_over_takes_is_no_cost_of_a_draw(make, engines, tmp_path):
    """It is the same for few replies and for many, and is booked so."""
    callback = watcher(tmp_path, **confirming())
    trainer = make([callback], tmp_path, **SLEEPING)
    callback.use_engine(trainer)
    sync, sleep = trainer.vllm_generation.sync_weights, engines[0].sleep

    def slow(work):
        def worked(*given, **named):
            time.sleep(0.2)
            return work(*given, **named)

        return worked

    trainer.vllm_generation.sync_weights, engines[0].sleep = slow(sync), slow(sleep)
    trainer.train()
    first, *later = (record.cost.seconds for record in callback.monitor.store.records())
    assert "engine" not in first, "before training it is part of the baseline's cost"
    assert all(seconds["engine"] >= 0.4 and seconds["replies"] > 0 for seconds in later)


@pytest.mark.parametrize("fails", [False, True])
def test_what_an_engine_takes_besides_writing_is_taken_off_the_replies(fails):
    writer, seconds = SimpleNamespace(fixed_seconds=100.0), {"screen": 1.0}
    with (
        pytest.raises(RuntimeError, match="gone") if fails else nullcontext(),
        engine.counted_apart(writer, seconds),
    ):
        writer.fixed_seconds += 8.0
        seconds["replies"] = 10.0
        if fails:
            raise RuntimeError("gone")
    assert seconds == {"screen": 1.0, "replies": 2.0, "engine": 8.0}
    with engine.counted_apart(None, seconds), engine.counted_apart(writer, seconds):
        seconds["replies"] = 3.0
    assert seconds["replies"] == 3.0, "nobody was asked"


class Break(TrainerCallback):
    """Breaks the engine before the look at one step, and repairs it after."""

    def __init__(self, attribute, broken, whole):
        self.attribute, self.broken, self.whole = attribute, broken, whole

    def on_step_end(self, args, state, control, **kwargs):
        setattr(fake_vllm.LLM.made[-1], self.attribute, self.broken if state.global_step == 2 else self.whole)


@pytest.mark.parametrize(
    ("fault", "settings"),
    [(GONE, SLEEPING), (NO_ROOM, SLEEPING), (NO_ROOM, ADAPTED)],
    ids=str,
)
def test_an_engine_that_fails_costs_the_replies_of_that_look_only(make, tmp_path, fault, settings):
    plain = make([], tmp_path / "plain", **settings)
    plain.train()

    class Repair(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            setattr(fake_vllm.LLM.made[-1], fault[0], fault[2])

    callback, trainer, records = watched(make, tmp_path, Break(*fault), Repair(), **settings)
    assert_same(outcome(plain), outcome(trainer))
    assert [len(record.failures) for record in records] == [0, 0, 1, 0, 0]
    assert "the trainer's vLLM could not be asked: RuntimeError" in records[2].failures[0].reason
    assert records[2].drifts, "the screen goes on"
    # What the baseline said to the observation that failed is used up, and the last observation is rationed for it.
    assert records[-1].evidence[0].num_draws == 11
    assert callback.monitor.last.cost.failures_total == {"confirm/ProbeError": 1}


def test_a_server_is_asked_by_one_request_a_reply(make, tmp_path, tiny_folder, monkeypatch):
    unsampled(monkeypatch)
    outcomes = []
    for name in ("plain", "watched"):
        callback = watcher(tmp_path, **confirming())
        trainer = make([callback] if name == "watched" else [], tmp_path / name, vllm_mode="server")
        callback.use_engine(trainer)
        client = trainer.vllm_generation.vllm_client
        client.weights = fake_vllm.Weights(tiny_folder)
        trainer.train()
        outcomes.append(outcome(trainer))
    assert_same(*outcomes)
    assert {len(prompts) for _, prompts, _ in client.requests} == {1}
    seeds = [params.seed for params, *_ in client.requests]
    assert len(set(seeds)) == len(seeds)
    pairs = [json.loads(line) for line in callback.monitor.store.lines("replies/000004.jsonl")]
    assert [pair["now"]["num_tokens"] for pair in pairs] == [
        len(ids) - (ids[-1] == trainer.processing_class.eos_token_id) for *_, ids in client.requests[-len(pairs) :]
    ]
    assert callback.monitor.info.identity["confirm/sampler"] == f"vLLM {VERSION}"


# Where it cannot be asked, the process samples by itself


def notes(callback):
    (note,) = callback.monitor.info.notes
    return note


def test_a_callback_that_was_not_given_the_trainer_samples_by_itself_and_says_so(make, engines, tmp_path, caplog):
    caplog.set_level("WARNING", logger="driftwatch")
    callback = watcher(tmp_path, **confirming())
    make([callback], tmp_path).train()
    assert engines[0].asked == []
    assert callback.monitor.info.identity["confirm/sampler"] == "in-process"
    assert "use_engine(trainer) has the trainer's vLLM write them" in caplog.text


def test_an_engine_that_cannot_answer_a_first_question_is_not_used(make, engines, tmp_path):
    """The questions are longer than what this trainer's vLLM was made for."""
    callback, _, records = watched(make, tmp_path, vllm_max_model_length=40)
    assert "sampled in-process, not by the trainer's vLLM: it could not answer a first question" in notes(callback)
    assert "do not fit into the 40 of the trainer's vLLM" in notes(callback)
    assert callback.monitor.info.identity["confirm/sampler"] == "in-process"
    assert engines[0].asked == []
    assert records[-1].evidence[0].num_draws > 0


def test_adapters_on_a_quantised_base_are_not_merged_for_replies(make, tmp_path):
    trainer = make([], tmp_path, adapter=True)
    trainer.model.get_base_model().is_quantized = True
    assert "merged into a quantised base" in find_engine(trainer).why


def test_adapters_on_a_sharded_base_are_not_merged_for_replies(make, tmp_path, monkeypatch):
    trainer = make([], tmp_path, adapter=True)
    monkeypatch.setattr(engine, "is_sharded", lambda model: True)
    assert "merged into a sharded base" in find_engine(trainer).why


def test_what_is_no_engine_of_trl_as_known_is_left_alone(make, tmp_path):
    trainer = make([], tmp_path)
    assert find_engine(trainer).name == f"vLLM {VERSION}"
    trainer.vllm_generation.mode = "elsewhere"
    assert find_engine(trainer).why == "GRPOTrainer keeps its vLLM in a way that driftwatch does not know"
    trainer.use_vllm = False
    assert find_engine(trainer) is None


def test_a_server_that_does_not_say_its_version_is_not_asked(make, tmp_path):
    trainer = make([], tmp_path, vllm_mode="server")
    trainer.vllm_generation.vllm_client.session.get = lambda *_, **__: SimpleNamespace(json=dict)
    assert find_engine(trainer).why == "it does not say which vLLM it is (KeyError: 'version')"


# A run keeps its sampler


def resumed(make, folder, *, used=True, **settings):
    callback = watcher(folder, **confirming())
    trainer = make([callback], folder / "watched", **settings)
    if used:
        callback.use_engine(trainer)
    trainer.train(resume_from_checkpoint=str(folder / "watched" / "checkpoint-2"))
    return callback


def test_a_resumed_run_goes_on_with_its_engine_and_without_it_is_refused(make, engines, tmp_path, monkeypatch):
    saving = {"save_strategy": "steps", "save_steps": 2}
    first = watched(make, tmp_path, StopEarly(), **saving)[0].monitor.store
    before = list(first.lines("baseline-replies.jsonl"))
    again = resumed(make, tmp_path, **saving).monitor
    assert again.store.folder == first.folder
    assert again.last.evidence[0].num_draws == 16
    assert len(engines[-1].asked) == 2, "the baseline's replies are those from before training"
    assert list(first.lines("baseline-replies.jsonl")) == before
    with pytest.raises(BaselineError, match=f"were written by vLLM {VERSION}, and now they would be by in-process"):
        resumed(make, tmp_path, used=False, **saving)
    monkeypatch.setattr(sys.modules["vllm"], "__version__", "0.99.0")
    with pytest.raises(BaselineError, match=r"and now they would be by vLLM 0\.99\.0"):
        resumed(make, tmp_path, **saving)


def test_a_run_that_began_in_process_goes_on_so(make, engines, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2}
    callback = watcher(tmp_path, **confirming())
    make([StopEarly(), callback], tmp_path / "watched", **saving).train()
    again = resumed(make, tmp_path, **saving).monitor
    assert again.store.folder == callback.monitor.store.folder
    assert engines[-1].asked == []
