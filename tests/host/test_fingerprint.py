"""A checksum tells one set of weights from another."""

import pytest
import torch

from driftwatch.host.fingerprint import checksum
from driftwatch.host.replicas import held
from driftwatch.testing import tiny_model


@pytest.fixture
def model(tiny_tokenizer):
    return tiny_model(tiny_tokenizer)


def test_the_same_weights_have_the_same_checksum(model, tiny_tokenizer):
    twin = tiny_model(tiny_tokenizer)
    twin.load_state_dict(model.state_dict())
    assert checksum(twin) == checksum(model)
    assert len(checksum(model)) == 16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_one_bit_makes_another_one(model, dtype):
    model.to(dtype)
    before = checksum(model)
    weight = model.model.layers[1].mlp.up_proj.weight.data
    old = weight[1, 2].clone()
    weight[1, 2] = torch.nextafter(old, old + 1) if dtype in (torch.float32, torch.float64) else old * 1.01 + 0.01
    assert checksum(model) != before
    weight[1, 2] = old
    assert checksum(model) == before


def test_parts_of_a_larger_tensor_are_read_wherever_they_lie():
    whole = torch.arange(40, dtype=torch.float16)
    module = torch.nn.Module()
    found = set()
    for start in (0, 1, 3, 4):
        module.part = torch.nn.Parameter(whole[start : start + 9])
        found.add(checksum(module))
        whole[start + 8] += 1
        found.add(checksum(module))
    assert len(found) == 8


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state:UserWarning")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr])
def test_sparse_weights_are_read_by_their_values_and_places(layout):
    def model(*, at, value):
        whole = torch.zeros(4, 4)
        whole[at] = value
        module = torch.nn.Module()
        sizes = {"blocksize": (2, 2)} if layout == torch.sparse_bsr else {}
        module.weight = torch.nn.Parameter(whole.to_sparse(layout=layout, **sizes), requires_grad=False)
        return module

    first, twin = model(at=(1, 2), value=3.0), model(at=(1, 2), value=3.0)
    assert checksum(first) == checksum(twin)
    assert held(first) == held(twin)
    others = [model(at=(1, 2), value=4.0), model(at=(3, 3), value=3.0)]
    assert len({checksum(one) for one in (first, *others)}) == 3
    assert held(first) != held(others[0])


def test_what_is_not_finite_or_not_there_is_no_obstacle(model):
    model.lm_head.weight.data[0, 0] = float("nan")
    assert checksum(model) == checksum(model)
    assert checksum(torch.nn.Linear(3, 3, device="meta")) == checksum(torch.nn.Linear(3, 3, device="meta"))


def test_it_leaves_gradients_and_random_numbers_alone(model):
    state = torch.get_rng_state()
    checksum(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


class Wrapped(torch.Tensor):
    """Whole numbers and a scale, as quantised weights of torchao are kept."""

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=scale.dtype)

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].numbers, args[0].scale)
        raise NotImplementedError(str(func))


def test_weights_that_wrap_others_are_read_inside():
    numbers, module = torch.arange(6, dtype=torch.int8).view(2, 3), torch.nn.Module()
    module.weight = torch.nn.Parameter(Wrapped(numbers, torch.ones(2)), requires_grad=False)
    before, before_held = checksum(module), held(module)
    assert (checksum(module), held(module)) == (before, before_held)
    numbers[1, 2] += 1
    assert checksum(module) != before
    assert held(module) != before_held
