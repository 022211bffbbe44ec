"""Probe: a way of asking a model in training about a bank of items."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from driftwatch.stance import Stance
from driftwatch.topics.topic import Topic


@runtime_checkable
class Probe(Protocol):
    """One way of asking.

    An implementation holds configuration only. What must stay fixed during a run (encoded prompts, batch composition)
    is made in `prepare`, and becomes part of the baseline's identity through `identity`.
    """

    kind: str

    def prepare(self, model: Any, tokenizer: Any, topics: Sequence[Topic]) -> None:
        """Encode what will be asked, once, before the first observation. Raises `ConfigError` for what cannot work."""
        ...

    def identity(self) -> dict[str, str]:
        """What two measurements must share to be comparable, as names with short values. Valid after `prepare`."""
        ...

    def measure(self, model: Any, *, permuted: bool = False) -> list[Stance]:
        """One stance for each item that this probe can ask, in the order of `prepare`; called inside the guard.

        Args:
            model: The model to ask.
            permuted: Whether to ask the same in other batches; the difference is the numeric noise floor. A probe
                without batches ignores it.

        Raises:
            ProbeError: The model as a whole could not be asked. Single items that fail have `unscored` set instead.
        """
        ...


@runtime_checkable
class InBlocks(Probe, Protocol):
    """A probe that can ask a part of its bank, and can tell two models apart by a few figures."""

    @property
    def num_blocks(self) -> int:
        """Number of blocks of the bank; block 0 is the core. Valid after `prepare`."""
        ...

    def measure(self, model: Any, *, permuted: bool = False, blocks: Sequence[int] | None = None) -> list[Stance]:
        """Like `Probe.measure`, for the items of some blocks; `None` asks all of them."""
        ...

    def tokens_scored(self, blocks: Sequence[int] | None = None) -> int:
        """Token positions that the model computes when some blocks are asked; `None` for all of them."""
        ...

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """A few log-likelihoods, in nats; equal for the same weights up to numeric noise."""
        ...
