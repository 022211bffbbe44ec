"""Several processes, one observation: how ranks agree.

Rank 0 decides (`broadcast`); all ranks work, and then agree whether everybody succeeded (`together`), so that an
observation is made by all of them or by none. How they keep in step while they work: `in_step.py`. How their values
travel, and what becomes of a rank that does not come: `exchange.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import distributed as dist

from driftwatch.errors import SETTINGS, ConfigError, RanksError
from driftwatch.host.exchange import Entry, Line, group_seconds, join

T = TypeVar("T")

# Of the time-out of the trainer's process group, which ends a training: how long an exchange waits for a rank, and how
# long a judge is waited for, which must fit into the former.
WAIT_SHARE = 1 / 3
JUDGE_SHARE = 1 / 6
FIRST_SECONDS = 60.0  # at most, for all ranks to begin; then nothing is watched

_line: Line | None = None  # of the run that is being watched just now in this process
_met_in: Any = None  # the process group that it belongs to


def num_ranks() -> int:
    """Processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process among them; 0 is the one that decides, reads and writes."""
    return dist.get_rank() if num_ranks() > 1 else 0


def meet() -> Line | None:
    """Begins a session of all ranks, which one run has to itself; `None` in a single process.

    Raises:
        RanksError: Some rank did not come within `FIRST_SECONDS`, or a share of the process group's time-out if that is
            less; on those that did.
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

    A part inside another part of the same session is no more than a stretch of that one.

    Args:
        line: The run's session, from `meet`.
        name: Of the part, the same on all ranks.
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
    """Tells the other ranks that this one has failed before parts that it does not come to; they need not wait then."""
    if line is None:
        return
    for name in names:
        line.skip(name, f"{type(err).__name__}: {err}", is_setting=isinstance(err, SETTINGS))


def broadcast(value: T) -> T:
    """Rank 0's value, on every rank; anything that pickles. What the other ranks pass is ignored."""
    return on_first(lambda: value, "a decision")


def together(work: Callable[[], T], what: str = "an observation", digest: str = "") -> list[T]:
    """Runs `work` on every rank, and gives every rank the results of all, in the order of the ranks.

    Args:
        work: May itself exchange with the other ranks.
        what: It is, in words.
        digest: Of what it is about; must be the same on every rank.

    Raises:
        RanksError: It failed on some rank, or some rank did not come, or came with something else; then on every rank,
            with what went wrong where.
    """
    if num_ranks() == 1:
        return [work()]
    line, error = _current(), None
    try:
        entry = Entry(what, digest, "value", work())
    except RanksError:
        raise  # of an exchange inside: all know it already
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
        digest: Of what this rank holds.
        what: It is, in words.
        error: What is raised; a setting that differs is wrong from the start.

    Raises:
        ConfigError: They do not; on every rank.
    """
    found = together(lambda: digest, what)
    if len(set(found)) > 1:
        listed = ", ".join(f"{digest} on rank {index}" for index, digest in enumerate(found))
        raise error(
            f"{what} must be the same on every rank; found {listed}. Give every rank the same code, model and settings."
        )


def judge_seconds() -> float | None:
    """How long the other ranks can wait for what only rank 0 does; `None` in a single process, where nobody waits."""
    return None if num_ranks() == 1 else JUDGE_SHARE * group_seconds()


def is_known_to_all(err: BaseException) -> bool:
    """Whether every rank has this error at the same place, so that all can go on without what failed."""
    return num_ranks() == 1 or (isinstance(err, RanksError) and not err.is_lost)


def is_apart() -> bool:
    """Whether the ranks' models have other weights, so that only that of rank 0 is asked."""
    return num_ranks() > 1 and _line is not None and _line.is_apart


def speaks(err: BaseException) -> bool:
    """Whether this rank has to say that something failed: rank 0, those on which it did, all where rank 0 is gone."""
    return rank() == 0 or not isinstance(err, RanksError) or rank() in err.ranks or 0 in err.ranks


def _current() -> Line:
    """The session; a first one where nobody has met yet, or the process group is another since."""
    if _line is None or _met_in is not dist.group.WORLD:
        meet()
    assert _line is not None
    return _line
