"""Whatever a forward leaves on modules is put back, or the model is not asked again."""

from collections import deque

import pytest
import torch
from torch import nn

from driftwatch.errors import ProbeError
from driftwatch.host import module_state
from driftwatch.host.guard import undisturbed


class Careless(nn.Module):
    """Does to itself, in its forward, what it is told to."""

    def __init__(self, what, size=5):
        super().__init__()
        self.what = what
        self.weight = nn.Parameter(torch.ones(4))
        self.inner = nn.Linear(3, 3)
        self.register_buffer("kept", torch.arange(float(size)))
        self.register_buffer("absent", None)
        self.deltas, self.count, self.seen, self.table = torch.zeros(2), 0, [1, 2], {"a": torch.ones(2)}
        self.last, self.names = deque([1]), {"x"}

    def forward(self, x):
        self.what(self)
        return x * self.weight.sum()


def _grows_in_place(module):
    module.kept.resize_(9).fill_(7)


def _swaps_data(module):
    module.kept.data = torch.zeros(2, 2)


def _swaps_type(module):
    module.kept.data = module.kept.data.double()


LEAVES = {
    "writes into a buffer": lambda m: m.kept.add_(1),
    "writes behind torch's count": lambda m: m.kept.data.add_(1),
    "replaces a buffer by a longer one": lambda m: setattr(m, "kept", torch.zeros(99)),
    "makes an absent buffer": lambda m: setattr(m, "absent", torch.zeros(2)),
    "removes a buffer": lambda m: m._buffers.pop("kept"),
    "adds a buffer": lambda m: m.register_buffer("new", torch.zeros(1)),
    "adds a first buffer to a part": lambda m: m.inner.register_buffer("new", torch.zeros(1)),
    "lets a buffer grow in place": _grows_in_place,
    "gives a buffer other data": _swaps_data,
    "gives a buffer another type": _swaps_type,
    "replaces a tensor that is no buffer": lambda m: setattr(m, "deltas", torch.ones(3)),
    "writes into a tensor that is no buffer": lambda m: m.deltas.add_(1),
    "counts": lambda m: setattr(m, "count", m.count + 1),
    "adds an attribute": lambda m: setattr(m, "rope_deltas", torch.ones(1)),
    "removes an attribute": lambda m: delattr(m, "count"),
    "fills a list": lambda m: m.seen.append(3),
    "empties a list": lambda m: m.seen.clear(),
    "fills a dict": lambda m: m.table.update(b=1),
    "writes into a tensor in a dict": lambda m: m.table["a"].mul_(3),
    "fills a set": lambda m: m.names.add("y"),
    "fills a queue": lambda m: m.last.append(2),
    "adds a part": lambda m: m.add_module("lazy", nn.Linear(2, 2)),
    "replaces a parameter": lambda m: setattr(m, "weight", nn.Parameter(torch.zeros(4))),
    "adds a parameter": lambda m: m.register_parameter("more", nn.Parameter(torch.zeros(4))),
}


def state(module):
    """What is on a module, by identity and by value."""

    def listed(contents):
        return [(name, id(t), None if t is None else (t.tolist(), t.dtype)) for name, t in contents.items()]

    return {
        name: (
            listed(part._buffers),
            listed(part._parameters),
            [(key, id(inner)) for key, inner in part._modules.items()],
            {key: (id(value), str(value)) for key, value in vars(part).items() if not key.startswith("_")},
        )
        for name, part in module.named_modules()
    }


@pytest.mark.parametrize("what", LEAVES.values(), ids=LEAVES)
def test_what_a_forward_leaves_is_put_back(what):
    module = Careless(what).train()
    before = state(module)
    for _ in range(2):
        with undisturbed(module) as asked:
            asked(torch.ones(1))
            assert state(module) != before
        assert state(module) == before


@pytest.mark.parametrize("what", LEAVES.values(), ids=LEAVES)
def test_it_is_put_back_after_a_forward_that_fails(what):
    def fails(module):
        what(module)
        raise IndexError("no such token")

    module = Careless(fails)
    before = state(module)
    with pytest.raises(IndexError, match="no such token"), undisturbed(module) as asked:
        asked(torch.ones(1))
    assert state(module) == before


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(module_state, "SMALL", 4)


def test_a_large_buffer_that_a_forward_writes_into_is_found_out_at_the_first_look_and_copied_from_then_on(no_room):
    module = Careless(lambda m: m.kept.add_(1), size=1000)
    before = module.kept.tolist()
    for _ in range(3):
        with undisturbed(module) as asked:
            asked(torch.ones(1))
            assert module.kept.tolist() != before
        assert module.kept.tolist() == before


def test_a_large_buffer_that_no_forward_writes_into_is_copied_once(no_room, monkeypatch):
    module = Careless(lambda m: None, size=1000)
    with undisturbed(module) as asked:
        asked(torch.ones(1))
    copies = []
    monkeypatch.setattr(torch.Tensor, "clone", lambda self, **_: copies.append(self.numel()) or self)
    with undisturbed(module):
        pass
    assert 1000 not in copies


def test_where_a_write_cannot_be_undone_the_model_is_not_asked_again(no_room, monkeypatch):
    monkeypatch.setattr(module_state, "_free_host_bytes", lambda: 0)
    asked_times = []
    module = Careless(lambda m: (asked_times.append(1), m.kept.add_(1)), size=1000)
    with (
        pytest.raises(ProbeError, match=r"writes into Careless.kept \(1000,\).*not asked again"),
        undisturbed(module) as asked,
    ):
        asked(torch.ones(1))
    with pytest.raises(ProbeError, match="not asked again"), undisturbed(module) as asked:
        asked(torch.ones(1))
    assert len(asked_times) == 1


def test_settings_of_the_whole_process_that_a_forward_changes_are_put_back():
    def careless(_):
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.use_deterministic_algorithms(mode=True)

    module = Careless(careless)
    with undisturbed(module) as asked:
        asked(torch.ones(1))
    assert torch.get_default_dtype() is torch.float32
    assert torch.zeros(1).device.type == "cpu"
    assert not torch.are_deterministic_algorithms_enabled()
