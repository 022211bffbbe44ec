"""The guard, undisturbed(), under which a model is asked in the middle of training and everything is put back.

All of this is recorded, switched for the observation, and restored whatever happens:

================================  ===================================================================================
random state                      python, numpy's global generator, torch on the CPU and on every device
torch's own settings              default dtype and device, determinism, precision of matrix products, threads
module modes                      `training` of each module by itself: a submodule that was deliberately in eval mode
                                  stays so, unlike after `model.train(flag)`
gradient checkpointing            switched off module by module; its function, and with it the original kwargs, is
                                  kept, so nothing has to be enabled again
arithmetic                        autocast off, gradients off, inference mode off
compilation                       compiled modules run their original code
4-bit layers                      not repacked for inference; the dtype that they compute in is restored
buffers                           rotary frequencies that depend on the longest sequence seen, running statistics,
                                  whatever their size and shape (`module_state.py`)
plain attributes                  what a forward notes on a module for the next one: offsets of positions, counters
hooks                             those added during the observation go, those removed come back
parameters                        `requires_grad`, which disabling an adapter flips
configuration                     `config` with its parts (`use_cache`, attention), `generation_config`
tokenizer                         padding side, truncation side, and the backend's padding and truncation
optimizer                         a schedule-free one shows its averaged weights during the observation
sharded parameters                FSDP2's parameters that a forward leaves gathered are sharded again
================================  ===================================================================================

Existing hooks stay active during the observation, since engines and adapters work through them.
"""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from driftwatch.host.averaging import averaged_weights as _averaged_weights
from driftwatch.host.module_state import kept_attributes as _attributes
from driftwatch.host.module_state import kept_buffers as _buffers
from driftwatch.host.module_state import restore_dict
from driftwatch.host.sharding import is_fsdp2, reset_forward

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
# For 4-bit layers of bitsandbytes. In eval mode on a CPU with bfloat16 instructions, they repack their weights in place
# and for good, for a kernel that has no backward pass. Some also settle on the dtype of the first forward's input.
_REPACKS = "support_avx512bf16_for_cpu"
_QUANTISED = (_REPACKS, "compute_dtype", "compute_type_is_set")
_MODES = ("training", "gradient_checkpointing", "_gradient_checkpointing_func", "_compiled_call_impl", *_QUANTISED)
_CONFIGS = ("config", "generation_config")
_KEPT_BY_NAME = frozenset((*_HOOKS, *_MODES, *_CONFIGS))
_TOKENIZER = ("padding_side", "truncation_side", "model_max_length", "chat_template")


@contextmanager
def undisturbed(model: Any, *, tokenizer: Any = None, optimizer: Any = None) -> Iterator[Any]:
    """The model to ask, in eval mode and without gradients; the training run cannot tell that it was asked.

    One case is not bit-exact: a schedule-free optimizer moves its weights to their average and back, as it does around
    the Trainer's own evaluation, which rounds.

    Args:
        model: The model in training, wrapped or not.
        tokenizer: Tokenizer or processor whose settings a probe might touch.
        optimizer: The optimizer in use; only schedule-free ones are needed.

    Yields:
        `model_to_ask(model)`. Pass `use_cache` to its calls, since the config may turn it off for training.
    """
    modules = list(model.modules())
    with ExitStack() as stack:
        stack.enter_context(_random_state())
        stack.enter_context(_global_settings())
        if tokenizer is not None:
            stack.enter_context(_tokenizer_settings(tokenizer))
        stack.enter_context(_configuration(modules))
        stack.enter_context(_hooks(modules))
        stack.enter_context(_requires_grad(model))
        stack.enter_context(_buffers(modules))
        stack.enter_context(_attributes(modules, _KEPT_BY_NAME))
        stack.enter_context(_modes(modules))
        stack.enter_context(_averaged_weights(optimizer))
        stack.enter_context(_sharded(modules))
        stack.enter_context(_plain_arithmetic())
        yield model_to_ask(model)


def model_to_ask(model: Any) -> Any:
    """The module whose forward an observation calls.

    Compiled models are asked uncompiled, since another mode and other shapes would recompile them. Replicas are asked
    without their wrapper, whose forward synchronises. With DeepSpeed, transformers hands its engine to callbacks, and
    the module inside is asked; the hooks of ZeRO-3 are on its parts. Models sharded by FSDP stay as they are.
    """
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(original := getattr(model, "_orig_mod", None), nn.Module):
            model = original
        elif isinstance(model, wrappers) or type(model).__name__ == "DeepSpeedEngine":
            model = model.module
        else:
            return model


@contextmanager
def _random_state() -> Iterator[None]:
    """Restore every generator that training may draw from, also on devices that this process does not train on."""
    undo: list[Callable[[], object]] = []
    python_state = random.getstate()
    undo.append(lambda: random.setstate(python_state))
    # NumPy's global generator is meant here: datasets and collators draw from it.
    numpy_state = np.random.get_state()  # noqa: NPY002
    undo.append(lambda: np.random.set_state(numpy_state))  # noqa: NPY002
    cpu_state = torch.get_rng_state()
    undo.append(lambda: torch.set_rng_state(cpu_state))
    for device, get, put in _device_generators():
        state = get(device)
        undo.append(lambda put=put, state=state, device=device: put(state, device))  # type: ignore[misc] # mypy cannot infer a lambda with defaults
    with ExitStack() as stack:
        for step in undo:
            stack.callback(step)
        yield


@contextmanager
def _global_settings() -> Iterator[None]:
    """Restore what a forward may set for the whole process. An observation computes with the training's settings."""
    found = [(value, get, put) for get, put in _SETTINGS if (value := _told(get)) is not None]
    try:
        yield
    finally:
        with ExitStack() as stack:
            for value, get, put in found:
                if _told(get) != value:
                    stack.callback(put, value)


def _told(get: Callable[[], Any]) -> Any | None:
    """A setting; `None` if this version of torch does not have it, or does not tell it."""
    try:
        return get()
    except (AttributeError, RuntimeError):
        return None


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _cudnn() -> tuple[bool, bool, bool]:
    return torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


def _set_cudnn(flags: tuple[bool, bool, bool]) -> None:
    cudnn: Any = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = flags


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # None means the CPU, and costs nothing per call


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (lambda: torch.get_default_device(), _set_default_device),
    (_determinism, lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])),
    (lambda: torch.get_float32_matmul_precision(), lambda name: torch.set_float32_matmul_precision(name)),
    (_cudnn, _set_cudnn),
    (torch.get_num_threads, torch.set_num_threads),
)


def _device_generators() -> Iterator[tuple[Any, Callable[..., Any], Callable[..., Any]]]:
    """(device, get, set) of each generator outside the CPU, except of devices that nothing has used yet."""
    for name in ("cuda", "xpu", "npu"):
        backend = getattr(torch, name, None)
        if backend is not None and backend.is_available() and backend.is_initialized():
            for index in range(backend.device_count()):
                yield torch.device(name, index), backend.get_rng_state, backend.set_rng_state
    if torch.backends.mps.is_available():
        yield None, lambda _: torch.mps.get_rng_state(), lambda state, _: torch.mps.set_rng_state(state)


@contextmanager
def _plain_arithmetic() -> Iterator[None]:
    """Use the same arithmetic at every observation, wherever in the loop it happens.

    Gradients are off by `no_grad` and not by inference mode: a module may keep a tensor that it made during the
    observation (rotary frequencies, masks, FSDP's gathered parameters, which are allocated at the first forward), and
    training cannot use inference tensors. Autocast is off because an observation before training would otherwise differ
    from one inside an autocast block. A model whose own forward enters autocast, as accelerate prepares it, still does
    so.
    """
    known = ("cpu", "cuda", "xpu", "mps", *(("npu",) if hasattr(torch, "npu") else ()))
    devices = [name for name in known if torch.is_autocast_enabled(name)]
    with torch.inference_mode(False), torch.no_grad(), _force_eager():
        try:
            for name in devices:
                torch.set_autocast_enabled(name, False)
            yield
        finally:
            for name in devices:
                torch.set_autocast_enabled(name, True)
            # Casts that were cached without gradients would cut the next backward pass off from its weights.
            torch.clear_autocast_cache()


@contextmanager
def _force_eager() -> Iterator[None]:
    """Run compiled parts of a model (regional compilation, compiled attention) uncompiled, and compile nothing new."""
    set_stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6
    # Importing the compiler takes seconds; if nobody has imported it, nothing is compiled.
    if set_stance is None or "torch._dynamo" not in sys.modules:
        yield
        return
    with set_stance("force_eager"):
        yield


@contextmanager
def _modes(modules: list[nn.Module]) -> Iterator[None]:
    """Set eval mode without `Module.train`, whose overrides have side effects (merged adapters, frozen parts)."""
    names = _MODES
    # Read from vars(), so that a default of the class does not become an attribute of the instance.
    found = [(vars(module), {n: vars(module)[n] for n in names if n in vars(module)}) for module in modules]
    try:
        for module in modules:
            vars(module)["training"] = False
            if getattr(module, "gradient_checkpointing", False) is True:
                vars(module)["gradient_checkpointing"] = False
            if vars(module).get("_compiled_call_impl") is not None:
                vars(module)["_compiled_call_impl"] = None
            if vars(module).get(_REPACKS):
                vars(module)[_REPACKS] = False
        yield
    finally:
        for attributes, before in found:
            _put_back(attributes, before, names)


@contextmanager
def _hooks(modules: list[nn.Module]) -> Iterator[None]:
    found = [(getattr(module, name), dict(getattr(module, name))) for module in modules for name in _HOOKS]
    try:
        yield
    finally:
        for hooks, before in found:
            restore_dict(hooks, before)


@contextmanager
def _requires_grad(model: nn.Module) -> Iterator[None]:
    found = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, flag in found:
            if parameter.requires_grad is not flag:
                parameter.requires_grad_(flag)


@contextmanager
def _configuration(modules: list[nn.Module]) -> Iterator[None]:
    """Restore configs, their sub-configs and generation configs: the objects, and what is in them."""
    names = _CONFIGS
    held = [(vars(module), {n: vars(module)[n] for n in names if n in vars(module)}) for module in modules]
    configs: dict[int, Any] = {}
    for _, objects in held:
        for config in objects.values():
            _collect_configs(config, configs)
    found = [(vars(config), dict(vars(config))) for config in configs.values()]
    try:
        yield
    finally:
        for contents, before in found:
            restore_dict(contents, before)
        for attributes, objects in held:
            attributes.update(objects)


def _collect_configs(config: Any, into: dict[int, Any]) -> None:
    """Collect `config` and the configs inside it, each once; ignore anything else that a module keeps as `config`."""
    if not hasattr(config, "to_dict") or not hasattr(config, "__dict__") or id(config) in into:
        return
    into[id(config)] = config
    for part in list(vars(config).values()):
        _collect_configs(part, into)


@contextmanager
def _tokenizer_settings(tokenizer: Any) -> Iterator[None]:
    # A processor of a multimodal model carries the text tokenizer.
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    found = {name: getattr(tokenizer, name) for name in _TOKENIZER if hasattr(tokenizer, name)}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    padding, truncation = getattr(backend, "padding", None), getattr(backend, "truncation", None)
    with ExitStack() as stack:
        for name, value in found.items():
            stack.callback(setattr, tokenizer, name, value)
        if backend is not None:
            stack.callback(lambda: backend.enable_padding(**padding) if padding else backend.no_padding())
            stack.callback(lambda: backend.enable_truncation(**truncation) if truncation else backend.no_truncation())
        yield


@contextmanager
def _sharded(modules: list[nn.Module]) -> Iterator[None]:
    """Shard again what FSDP2 keeps gathered after a forward for a backward pass, which does not come here."""
    sharded: list[Any] = [module for module in modules if is_fsdp2(module)]
    try:
        yield
    except BaseException:
        # A forward that stopped half-way leaves its state behind, and the next one would start from it.
        for root in sharded[:1]:
            reset_forward(root)
        raise
    finally:
        for module in sharded:
            module.reshard()


def _put_back(attributes: dict[str, Any], before: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name in before:
            attributes[name] = before[name]
        else:
            attributes.pop(name, None)
