"""guard.undisturbed puts everything back, whatever happens inside it or to itself."""

import random
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from driftwatch.chat.format import ChatFormat
from driftwatch.host import guard
from driftwatch.host.guard import model_to_ask, undisturbed
from driftwatch.replies.sampling import sample
from driftwatch.scoring.score import Request, plan, score
from driftwatch.testing import tiny_model

KEEPERS = (
    "_random_state",
    "_tokenizer_settings",
    "_configuration",
    "_hooks",
    "_requires_grad",
    "_buffers",
    "_modes",
    "_averaged_weights",
    "_sharded",
    "_plain_arithmetic",
)
# The compiler reads .grad of inner tensors and swallows the warning, which is an error here (torch 2.13).
# It also warns on Python 3.13.0 that 3.13.1 is faster.
compiles = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:Guards may run slower on Python 3.13.0:RuntimeWarning",
)


class ScheduleFree(torch.optim.SGD):
    """Keeps its two points as the optimizers of the schedulefree package do, in exact arithmetic."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        for group in self.param_groups:
            group["train_mode"] = True

    def eval(self):
        self._move(-1.0, False)

    def train(self):
        self._move(1.0, True)

    @torch.no_grad()
    def _move(self, by, mode):
        for group in self.param_groups:
            if group["train_mode"] is not mode:
                for parameter in group["params"]:
                    parameter.add_(by)
            group["train_mode"] = mode


def checkpointing(model, what):
    """`enable` or `disable` by the name that this transformers prefers."""
    name = "activation_checkpointing" if hasattr(model, "activation_checkpointing_enable") else "gradient_checkpointing"
    return getattr(model, f"{name}_{what}")


@pytest.fixture
def model(tiny_tokenizer):
    """In the middle of training, with everything set to something else than its default."""
    model = tiny_model(tiny_tokenizer, dropout=0.1)
    checkpointing(model, "enable")({"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    model.model.layers[1].eval()
    model.config.use_cache = False
    model.generation_config.temperature = 0.3
    model.model.embed_tokens.weight.requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 64).round() / 64)  # so that the schedule-free double is exact
    return model


@pytest.fixture
def optimizer(model):
    return ScheduleFree(model.parameters())


@pytest.fixture
def tokenizer(tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.padding_side = "left"
    tokenizer.truncation_side = "left"
    tokenizer.backend_tokenizer.enable_truncation(max_length=77, direction="left")
    tokenizer.backend_tokenizer.enable_padding(length=5, pad_id=3, pad_token="<pad>")
    return tokenizer


@pytest.fixture
def accelerator():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def snapshot(model, tokenizer, optimizer):
    """Everything that training could notice, as comparable values."""
    modules = dict(model.named_modules())
    checkpointing = "_gradient_checkpointing_func"
    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002 - the global generator is what training uses
        "torch": torch.get_rng_state().tolist(),
        "modes": {name: module.training for name, module in modules.items()},
        "checkpointing": {
            name: (getattr(module, "gradient_checkpointing", None), id(getattr(module, checkpointing, None)))
            for name, module in modules.items()
        },
        "hooks": {(name, kind): list(getattr(m, kind)) for name, m in modules.items() for kind in guard._HOOKS},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "weights": {name: p.detach().flatten().tolist() for name, p in model.named_parameters()},
        "buffers": {name: (id(b), b.tolist()) for name, b in model.named_buffers()},
        "rotary": model.model.rotary_emb.max_seq_len_cached,
        "config": (id(model.config), repr(sorted(vars(model.config).items(), key=str))),
        "generation": (id(model.generation_config), repr(sorted(vars(model.generation_config).items(), key=str))),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")],
        "tokenizer": [getattr(tokenizer, name) for name in guard._TOKENIZER],
        "backend": (tokenizer.backend_tokenizer.padding, tokenizer.backend_tokenizer.truncation),
        "optimizer": [group["train_mode"] for group in optimizer.param_groups],
    }


def disturb(model, tokenizer):
    """A very careless probe."""
    random.random()
    np.random.rand()  # noqa: NPY002 - carelessness is the point
    torch.rand(3)
    model(torch.arange(8)[None], use_cache=True)
    model.train()
    checkpointing(model, "disable")()
    model.register_forward_hook(lambda *_: None)
    model.disable_input_require_grads()
    model.lm_head.weight.requires_grad_(False)
    model.model.embed_tokens.weight.requires_grad_(True)
    rotary = model.model.rotary_emb
    rotary.inv_freq.mul_(2)
    rotary.register_buffer("original_inv_freq", torch.ones(2), persistent=False)
    rotary.max_seq_len_cached = 3
    model.config.use_cache = True
    model.config.brand_new = 1
    model.config._attn_implementation = "eager"
    model.generation_config.temperature = 2.0
    model.generation_config = type(model.generation_config)()
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "right"
    tokenizer.model_max_length = 2
    tokenizer.chat_template = "nothing"
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()


def test_careless_probe_leaves_no_trace(model, tokenizer, optimizer):
    before = snapshot(model, tokenizer, optimizer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = snapshot(model, tokenizer, optimizer)
        with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
            disturb(asked, tokenizer)
        assert snapshot(model, tokenizer, optimizer) == within
    assert snapshot(model, tokenizer, optimizer) == before


@pytest.mark.parametrize("missing", [name for name in KEEPERS if name not in ("_sharded", "_plain_arithmetic")])
def test_without_one_keeper_the_careless_probe_leaves_a_trace(missing, model, tokenizer, optimizer, monkeypatch):
    """Otherwise the comparison above could not fail. The two left out have tests of their own."""
    monkeypatch.setattr(guard, missing, lambda *_: nullcontext())
    before = snapshot(model, tokenizer, optimizer)
    with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
        disturb(asked, tokenizer)
        optimizer.eval()
    assert snapshot(model, tokenizer, optimizer) != before


def test_error_inside_leaves_no_trace_and_comes_out(model, tokenizer, optimizer):
    def failing_look():
        with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
            disturb(asked, tokenizer)
            raise RuntimeError("out of memory")

    before = snapshot(model, tokenizer, optimizer)
    with pytest.raises(RuntimeError, match="out of memory"):
        failing_look()
    assert snapshot(model, tokenizer, optimizer) == before


@pytest.mark.parametrize("broken", KEEPERS)
def test_guard_that_breaks_while_entering_undoes_what_it_had_done(broken, model, tokenizer, optimizer, monkeypatch):
    @contextmanager
    def breaks(*_):
        raise RuntimeError(f"{broken} cannot record")
        yield

    before = snapshot(model, tokenizer, optimizer)
    monkeypatch.setattr(guard, broken, breaks)
    with (
        pytest.raises(RuntimeError, match="cannot record"),
        undisturbed(model, tokenizer=tokenizer, optimizer=optimizer),
    ):
        pytest.fail("the body must not run in a half-made guard")
    assert snapshot(model, tokenizer, optimizer) == before


@pytest.mark.parametrize("broken", KEEPERS)
def test_guard_that_breaks_while_leaving_restores_the_rest(broken, model, tokenizer, optimizer, monkeypatch):
    real = getattr(guard, broken)

    @contextmanager
    def breaks(*arguments):
        with real(*arguments):
            yield
        raise RuntimeError(f"{broken} cannot restore")

    before = snapshot(model, tokenizer, optimizer)
    monkeypatch.setattr(guard, broken, breaks)
    with (
        pytest.raises(RuntimeError, match="cannot restore"),
        undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked,
    ):
        disturb(asked, tokenizer)
    assert snapshot(model, tokenizer, optimizer) == before


def test_tokenizer_that_refuses_one_setting_gets_the_others_back(model, optimizer, tokenizer):
    """Within a keeper, too, one failing step must not keep the next from being taken."""

    class Stubborn:
        truncation_side = "left"
        model_max_length = 9

        @property
        def padding_side(self):
            return "left"

    def look():
        with undisturbed(model, tokenizer=stubborn):
            stubborn.truncation_side = "right"
            stubborn.model_max_length = 1

    stubborn = Stubborn()
    with pytest.raises(AttributeError):
        look()
    assert (stubborn.truncation_side, stubborn.model_max_length) == ("left", 9)


def test_inside_the_model_is_in_eval_mode_without_gradients(model):
    with torch.autocast("cpu", dtype=torch.bfloat16), undisturbed(model) as asked:
        modes = {module.training for module in asked.modules()}
        logits = asked(torch.arange(5)[None]).logits
        assert not torch.is_autocast_enabled("cpu")
    assert modes == {False}
    assert not logits.requires_grad
    assert not logits.is_inference()
    assert logits.dtype == torch.float32


def test_look_from_inference_mode_makes_no_inference_tensors(model):
    with torch.inference_mode(), undisturbed(model) as asked:
        assert not asked(torch.arange(5)[None]).logits.is_inference()


@pytest.mark.parametrize("ask", ["score", "sample"])
def test_tensor_that_a_module_keeps_from_a_look_can_be_trained_with(ask, tiny_tokenizer):
    """Some models cache tables in attributes; made in inference mode, they would break the next backward pass."""

    class Cached(nn.Module):
        table = None

        def forward(self, hidden):
            if self.table is None:
                self.table = torch.full_like(hidden[:1, :1], 1.5)
            return hidden * self.table

    model = tiny_model(tiny_tokenizer).train()
    model.model.norm = Cached()
    with undisturbed(model) as asked:
        if ask == "sample":
            generator = torch.Generator().manual_seed(0)
            sample(asked, ChatFormat(tiny_tokenizer), ["Well?"], generator=generator, max_new_tokens=2)
        else:
            requests = [Request((7, 8, 9), ((10, 11), (10, 12)))]
            score(asked, plan(requests, asked))
    ids = torch.arange(6)[None]
    model(ids, labels=ids).loss.backward()
    assert model.lm_head.weight.grad is not None


def test_checkpointing_keeps_its_original_kwargs(model):
    function = model.model._gradient_checkpointing_func
    with undisturbed(model) as asked:
        assert not any(getattr(module, "gradient_checkpointing", False) for module in asked.modules())
    assert model.model._gradient_checkpointing_func is function
    assert function.keywords == {"use_reentrant": False}
    assert model.model.gradient_checkpointing


def test_train_method_with_side_effects_is_not_called(model):
    calls = []
    model.model.layers[0].train = lambda mode=True: calls.append(mode)
    with undisturbed(model):
        pass
    assert calls == []


def test_dynamic_rotary_embedding_keeps_the_length_it_has_grown_to(tiny_tokenizer):
    """A short question shrinks it, and the next long batch would be computed with other frequencies than before."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    model = tiny_model(tiny_tokenizer, rope_parameters=rope, max_position_embeddings=16)
    long, short = torch.arange(30)[None], torch.arange(4)[None]
    model(long)
    frequencies = model.model.rotary_emb.inv_freq
    with undisturbed(model) as asked:
        asked(short)
        if asked.model.rotary_emb.inv_freq is frequencies:
            pytest.skip("these frequencies do not shrink with this transformers")
    assert model.model.rotary_emb.inv_freq is frequencies
    assert model.model.rotary_emb.max_seq_len_cached == 30


def test_casts_cached_during_a_look_do_not_cut_off_gradients(model):
    """Autocast caches casts of weights; one made without gradients must not serve the training that follows."""
    ids = torch.arange(6)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with undisturbed(model) as asked, torch.autocast("cpu", dtype=torch.bfloat16):
            asked(ids)
        model(ids, labels=ids).loss.backward()
    assert model.lm_head.weight.grad is not None
    assert model.model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0


def test_schedule_free_optimizer_shows_its_average_and_goes_back_to_training(model):
    optimizer = ScheduleFree(model.parameters())
    before = model.lm_head.weight.detach().clone()
    with undisturbed(model, optimizer=optimizer) as asked:
        assert torch.equal(asked.lm_head.weight, before - 1)
    assert torch.equal(model.lm_head.weight, before)
    assert optimizer.param_groups[0]["train_mode"] is True


def test_schedule_free_optimizer_in_eval_mode_stays_there(model):
    optimizer = ScheduleFree(model.parameters())
    optimizer.eval()
    before = model.lm_head.weight.detach().clone()
    with undisturbed(model, optimizer=optimizer) as asked:
        assert torch.equal(asked.lm_head.weight, before)
    assert optimizer.param_groups[0]["train_mode"] is False


def test_schedule_free_optimizer_is_found_inside_accelerates_wrapper(model, accelerator):
    inner = ScheduleFree(model.parameters())
    wrapped = accelerator.prepare_optimizer(inner)
    with undisturbed(model, optimizer=wrapped):
        assert inner.param_groups[0]["train_mode"] is False
    assert inner.param_groups[0]["train_mode"] is True


def test_ordinary_optimizer_inside_accelerates_wrapper_is_left_alone(model, accelerator):
    wrapped = accelerator.prepare_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    before = model.lm_head.weight.detach().clone()
    with undisturbed(model, optimizer=wrapped) as asked:
        assert torch.equal(asked.lm_head.weight, before)


# peft 0.21 asks transformers 5.23 by a name that goes away in transformers 6.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapter_disabled_by_a_failing_probe_trains_on(tiny_tokenizer):
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model(tiny_tokenizer), peft.LoraConfig(r=2, target_modules=["q_proj"]))
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    with pytest.raises(RuntimeError, match="mid-way"), undisturbed(model) as asked, asked.disable_adapter():
        raise RuntimeError("mid-way")
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before
    assert any(before.values())


def test_compiled_model_is_asked_uncompiled(model):
    compiled = torch.compile(model, backend="eager")
    with undisturbed(compiled) as asked:
        assert asked is model


@compiles
def test_compiled_parts_run_uncompiled_and_nothing_recompiles(tiny_tokenizer):
    """Regional compilation leaves the model itself uncompiled; other shapes and modes would recompile its layers."""
    from torch._dynamo.testing import CompileCounter

    model = tiny_model(tiny_tokenizer)
    torch._dynamo.reset()
    counter = CompileCounter()
    for layer in model.model.layers:
        layer.compile(backend=counter)
    model.train()
    model(torch.arange(6)[None])
    compiled = counter.frame_count
    with undisturbed(model) as asked:
        for length in range(2, 8):
            asked(torch.arange(length)[None])
    assert counter.frame_count == compiled > 0
    model(torch.arange(6)[None])
    assert counter.frame_count == compiled
    torch._dynamo.reset()


@compiles
def test_module_compiled_as_a_child_runs_uncompiled():
    """`torch.compile` may also have been put on a child, which then is a module of another class."""
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    model = nn.Sequential(nn.Linear(2, 2), torch.compile(nn.Linear(2, 2), backend=counter))
    with undisturbed(model) as asked:
        asked(torch.ones(1, 2))
    assert counter.frame_count == 0
    model(torch.ones(1, 2))
    assert counter.frame_count == 1
    torch._dynamo.reset()


def test_wrappers_that_synchronise_are_taken_off(model):
    assert model_to_ask(nn.DataParallel(model)) is model
    assert model_to_ask(model) is model


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_generators_of_every_device_are_put_back(model):
    torch.cuda.init()
    devices = range(torch.cuda.device_count())
    before = [torch.cuda.get_rng_state(device) for device in devices]
    with undisturbed(model):
        for device in devices:
            torch.rand(3, device=f"cuda:{device}")
    assert all(torch.equal(torch.cuda.get_rng_state(device), before[device]) for device in devices)


class FourBit(nn.Linear):
    """Does in its first forward what the 4-bit layers of bitsandbytes do on a CPU with bfloat16 instructions."""

    def __init__(self):
        super().__init__(4, 4)
        self.support_avx512bf16_for_cpu, self.compute_dtype, self.compute_type_is_set = 1, None, False

    def forward(self, x):
        if self.support_avx512bf16_for_cpu and not self.training:
            self.weight.data = self.weight.data.flip(0)
        if not self.compute_type_is_set:
            self.compute_dtype, self.compute_type_is_set = x.dtype, True
        return super().forward(x)


def test_quantised_layers_are_neither_repacked_nor_settled_on_a_dtype_by_a_look():
    layer = FourBit().train()
    before = layer.weight.detach().clone()
    with undisturbed(layer) as asked:
        asked(torch.ones(1, 4))
    assert torch.equal(layer.weight, before)
    assert (layer.support_avx512bf16_for_cpu, layer.compute_dtype, layer.compute_type_is_set) == (1, None, False)
