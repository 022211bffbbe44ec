"""How several ranks agree on one observation.

Rank 0 decides (`broadcast`); all ranks work, and then agree whether everybody succeeded (`together`), so that an
observation is made by all of them or by none. `lockstep.py` keeps them in step while they work. `exchange.py` carries
their values, and says what happens if a rank does not come.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import distributed as dist

from driftwatch.errors import SETTINGS, ConfigError, RanksError
from driftwatch.host.exchange import Entry, Line, group_seconds, join

T = TypeVar("T")

# How long an exchange waits for a rank, and how long ranks wait for a judge, which must fit into the former. Both are
# shares of the time-out of the trainer's process group, which would end the training.
WAIT_SHARE = 1 / 3
JUDGE_SHARE = 1 / 6
FIRST_SECONDS = 60.0  # all ranks must begin within this time, or nothing is watched

_line: Line | None = None  # the session of the run that is being watched just now in this process
_met_in: Any = None  # the process group that this session belongs to


def num_ranks() -> int:
    """Number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank among them; rank 0 decides, reads and writes."""
    return dist.get_rank() if num_ranks() > 1 else 0


def meet() -> Line | None:
    """Begins a session of all ranks, which belongs to one run; `None` in a single process.

    Raises:
        RanksError: Some rank did not come within `FIRST_SECONDS`, or a share of the process group's time-out if that is
            less. The ranks that came raise it.
    """
    global _line, _met_in
    if num_ranks() == 1:
        return None
    from torch.distributed.distributed_c10d import _get_default_store

    seconds = WAIT_SHARE * group_seconds()
    first = min(FIRST_SECONDS, seconds)
    try:
        _line = join(_get_default_store(), rank(), num_ranks(), seconds=seconds, limit=first)
    except RanksError as err:
        raise RanksError(
            f"{err}. All {num_ranks()} ranks must begin together: give DriftCallback to the Trainer on every rank, not "
            "only on the one that logs.",
            err.ranks,
        ) from err
    _met_in = dist.group.WORLD
    return _line


@contextmanager
def part(line: Line | None, name: str) -> Iterator[None]:
    """A part of a run that all ranks do together; if one of them fails anywhere in it, it tells the other ranks.

    A part inside another part of the same session simply belongs to that one.

    Args:
        line: The run's session, from `meet`.
        name: The part's name, the same on all ranks.
    """
    global _line, _met_in
    if line is None or line.is_open:
        yield
        return
    _line, _met_in = line, dist.group.WORLD
    line.open(name)
    try:
        yield
    except BaseException as err:
        line.leave(f"{type(err).__name__}: {err}", is_setting=isinstance(err, SETTINGS))
        raise
    finally:
        line.end()


def stay_away(line: Line | None, names: Sequence[str], err: BaseException) -> None:
    """Tells the other ranks that this one has failed and will not come to some parts, so that they do not wait."""
    if line is None:
        return
    for name in names:
        line.skip(name, f"{type(err).__name__}: {err}", is_setting=isinstance(err, SETTINGS))


def broadcast(value: T) -> T:
    """Rank 0's value on every rank; it may be anything that pickles. What the other ranks pass is ignored."""
    return on_first(lambda: value, "a decision")


def together(work: Callable[[], T], what: str = "an observation", digest: str = "") -> list[T]:
    """Runs `work` on every rank, and gives every rank the results of all, in the order of the ranks.

    Args:
        work: The work, which may itself exchange values with the other ranks.
        what: The work, in words.
        digest: A digest of what it is about, which must be the same on every rank.

    Raises:
        RanksError: It failed on some rank, or some rank did not come, or came with something else. Every rank raises
            it, and it says what went wrong where.
    """
    if num_ranks() == 1:
        return [work()]
    line, error = _current(), None
    try:
        entry = Entry(what, digest, "value", work())
    except RanksError:
        raise  # it comes from an exchange inside, so all ranks know it already
    except Exception as err:  # noqa: BLE001 - whatever it is, the other ranks must be told
        error = err
        entry = Entry(what, digest, "error", f"{type(err).__name__}: {err}", isinstance(err, SETTINGS))
    try:
        return line.swap(entry)
    except RanksError as err:
        raise err from error


def everywhere(work: Callable[[], T], what: str = "an observation") -> T:
    """Runs `work` on every rank, and gives each its own result once all have succeeded; errors as in `together`."""
    result: list[T] = []
    together(lambda: result.append(work()), what)
    return result[0]


def on_first(work: Callable[[], T], what: str = "an observation") -> T:
    """Runs `work` on rank 0 alone, and gives every rank its result; errors as in `together`."""
    if num_ranks() == 1:
        return work()
    return together(lambda: work() if rank() == 0 else None, what)[0]  # type: ignore[return-value] # rank 0's is a T


def same_everywhere(digest: str, what: str, error: type[Exception] = ConfigError) -> None:
    """Checks that all ranks hold the same thing.

    Args:
        digest: A digest of what this rank holds.
        what: The thing, in words.
        error: The error to raise if ranks differ.

    Raises:
        ConfigError: They do not, or `error` if it is another one. Every rank raises it.
    """
    found = together(lambda: digest, what)
    if len(set(found)) > 1:
        listed = ", ".join(f"{digest} on rank {index}" for index, digest in enumerate(found))
        raise error(
            f"{what} must be the same on every rank; found {listed}. Give every rank the same code, model and settings."
        )


def judge_seconds() -> float | None:
    """How many seconds the other ranks can wait for what only rank 0 does; `None` in a single process."""
    return None if num_ranks() == 1 else JUDGE_SHARE * group_seconds()


def is_known_to_all(err: BaseException) -> bool:
    """Whether every rank got this error at the same place, so that all can go on without what failed."""
    return num_ranks() == 1 or (isinstance(err, RanksError) and not err.is_lost)


def is_apart() -> bool:
    """Whether the ranks' models have different weights, so that only that of rank 0 is asked."""
    return num_ranks() > 1 and _line is not None and _line.is_apart


def speaks(err: BaseException) -> bool:
    """Whether this rank logs a failure: rank 0 does, the ranks on which it failed, and all if rank 0 is among them."""
    return rank() == 0 or not isinstance(err, RanksError) or rank() in err.ranks or 0 in err.ranks


def _current() -> Line:
    """The session; a new one if the ranks have not met yet, or the process group has changed since."""
    if _line is None or _met_in is not dist.group.WORLD:
        meet()
    assert _line is not None
    return _line
