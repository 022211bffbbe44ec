"""A copy of the start weights, by which the baseline's replies are topped up while training goes on."""

import itertools

import msgspec
import pytest
import torch

from driftwatch.errors import ConfigError, ProbeError
from driftwatch.probes.statement import StatementProbe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.pool import BaselineReply, Pool
from driftwatch.replies.start_weights import StartWeights
from driftwatch.store.run_store import RunStore
from driftwatch.testing import tiny_model
from driftwatch.topics.topic import Item, Topic, TopicPack
from driftwatch.watch.monitor import Monitor
from driftwatch.watch.run import Run
from driftwatch.watch.schedule import Schedule

HOW = pytest.mark.parametrize("how", ["memory", "disk"])


def bits(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def nudge(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))


@HOW
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_start_is_there_while_it_is_asked_and_training_goes_on_bit_by_bit(tiny_tokenizer, tmp_path, how, dtype):
    model = tiny_model(tiny_tokenizer).to(dtype)
    began = bits(model)
    start = StartWeights.keep(model, how, tmp_path)
    nudge(model)
    present, versions = bits(model), [p._version for p in model.parameters()]
    with start.active(model) as asked:
        assert same(bits(asked), began)
    assert same(bits(model), present)
    assert not same(present, began)
    assert [p._version for p in model.parameters()] == versions, "autograd sees no change in place"


def test_the_present_weights_are_back_whatever_happens(tiny_llama, tmp_path):
    start = StartWeights.keep(tiny_llama, "memory", tmp_path)
    nudge(tiny_llama)
    present = bits(tiny_llama)
    with pytest.raises(RuntimeError, match="asked"), start.active(tiny_llama):
        raise RuntimeError("while it was asked")
    assert same(bits(tiny_llama), present)


def test_only_what_is_trained_is_kept(tiny_llama, tmp_path):
    for parameter in tiny_llama.parameters():
        parameter.requires_grad_(False)
    tiny_llama.lm_head.weight.requires_grad_(True)
    start = StartWeights.keep(tiny_llama, "memory", tmp_path)
    assert {n for n in start._tensors if "weight" in n} == {
        n for n, p in tiny_llama.named_parameters() if p.requires_grad
    }


def test_a_model_with_other_parameters_is_not_asked(tiny_llama, tiny_tokenizer, tmp_path):
    start = StartWeights.keep(tiny_llama, "memory", tmp_path)
    other = tiny_model(tiny_tokenizer, hidden_size=64)
    with pytest.raises(ProbeError, match="other parameters"), start.active(other):
        pass


def test_sharded_parameters_are_refused_before_the_first_step(tiny_llama, tmp_path):
    next(tiny_llama.parameters()).ds_id = 3  # as DeepSpeed ZeRO-3 marks them
    with pytest.raises(ConfigError, match=r"not whole on a process .*ZeRO-3.*Leave keep_start out"):
        StartWeights.keep(tiny_llama, "memory", tmp_path)


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="keep_start"):
        Confirmation(keep_start="cloud")


def pack():
    topics = (("work", False), ("tea", True))
    return TopicPack(
        "p",
        "1.0.0",
        "en",
        "CC0-1.0",
        "a test",
        tuple(Topic(name, name, ("a", "b"), control, (Item(name, ("Yes.", "No.")),)) for name, control in topics),
    )


def watch(tmp_path, **options):
    return Monitor(
        pack(),
        run="r",
        output_dir=tmp_path,
        exporters=(),
        probes=(StatementProbe(naysaying_items=0),),
        schedule=Schedule(1, early_dense=False, budget=None),
        confirm=Confirmation(decoding=Decoding(max_new_tokens=1), normal_draws=2, watched_draws=2, **options),
    )


def drawn(record):
    return {row.topic: row.num_draws for row in record.evidence if row.kind == "direction"}


@HOW
def test_a_run_far_beyond_its_plan_is_topped_up_and_used_once(tmp_path, tiny_llama, tiny_tokenizer, how):
    monitor = watch(tmp_path, keep_start=how)
    monitor.begin(tiny_llama, tiny_tokenizer, planned_steps=2)
    nudge(tiny_llama)
    present = bits(tiny_llama)
    looks = [monitor.observe(tiny_llama, step) for step in range(1, 9)]
    assert same(bits(tiny_llama), present)
    assert all(later["tea"] - earlier["tea"] == 2 for earlier, later in itertools.pairwise(map(drawn, looks)))
    assert all(left > 0 for left in looks[-1].replies_left.values())
    assert {row.state for row in looks[-1].evidence} <= {"ok", "watch"}
    monitor.close("stopped")
    kept = RunStore(monitor.store.folder)
    pool = [msgspec.json.decode(line, type=BaselineReply) for line in kept.lines("baseline-replies.jsonl")]
    assert len(pool) == len(monitor._run.stage.decoded), "what was added is kept for a resume"
    again = watch(tmp_path, keep_start=how)
    again.begin(tiny_llama, tiny_tokenizer, step=8, planned_steps=2, resume=kept.folder)
    assert (again._run.stage._confirm.supply._start is not None) == (how == "disk"), "memory ends with its process"
    more = again.observe(tiny_llama, 9)
    again.close("finished")
    assert drawn(more)["tea"] > drawn(looks[-1])["tea"]


def test_replies_that_were_topped_up_for_an_observation_that_failed_reach_the_files_with_the_next(
    tmp_path, tiny_llama, tiny_tokenizer, monkeypatch
):
    """What is used of them counts along their file."""
    monitor = watch(tmp_path, keep_start="memory")
    monitor.begin(tiny_llama, tiny_tokenizer, planned_steps=2)
    described, before = Run.described, len(monitor._run.stage.decoded)
    step = 0

    def fails_once_topped_up(self, observation):
        if len(monitor._run.stage.decoded) > before:
            monkeypatch.setattr(Run, "described", described)
            raise RuntimeError("no memory for the record")
        return described(self, observation)

    monkeypatch.setattr(Run, "described", fails_once_topped_up)
    with pytest.raises(RuntimeError, match="no memory"):  # noqa: PT012 - which observation is topped up is up to the pool
        while step < 20:
            step += 1
            monitor.observe(tiny_llama, step)
    monitor.observe(tiny_llama, step + 1)
    pool = list(monitor._run.stage.decoded)
    monitor.close("finished")
    kept = RunStore(tmp_path / "r").lines("baseline-replies.jsonl")
    assert len(pool) > before
    assert Pool([msgspec.json.decode(line, type=BaselineReply) for line in kept])._replies == Pool(pool)._replies


def test_used_up_is_said_by_state_reason_and_figures(tmp_path, tiny_llama, tiny_tokenizer):
    monitor = watch(tmp_path)
    monitor.begin(tiny_llama, tiny_tokenizer, planned_steps=2)
    looks = [monitor.observe(tiny_llama, step) for step in range(1, 9)]
    monitor.close("finished")
    assert {row.state for row in looks[0].evidence} <= {"ok", "watch"}
    ended = looks[-1]
    assert ended.replies_left == dict.fromkeys(drawn(ended), 0)
    assert {row.state for row in ended.evidence if row.topic != "all"} == {"ended"}
    assert all("are used up; their evidence is frozen" in row.why for row in ended.evidence)


def test_the_folder_of_a_run_that_could_not_begin_is_nobodys(tmp_path, tiny_llama, tiny_tokenizer, monkeypatch):
    monitor = watch(tmp_path)
    monkeypatch.setattr(
        "driftwatch.watch.preparing.PreparedReplies.begin",
        lambda *args, **kwargs: (_ for _ in ()).throw(ConfigError("the start weights cannot be kept")),
    )
    with pytest.raises(ConfigError, match="cannot be kept"):
        monitor.begin(tiny_llama, tiny_tokenizer)
    (folder,) = [path.parent for path in tmp_path.rglob("run.json")]
    assert RunStore(folder).claim(), "another training may write it at once"
    RunStore(folder).release()
