"""Exchanges values between the ranks of one training, through the store by which their process group met.

Nothing here uses the trainer's process group: a collective that times out would end the training, and here waiting in
vain costs only an observation. In each exchange, rank 0 gathers all values and writes one result for all. A rank that
gives up, whether rank 0 on the others or they on rank 0, decides the result for everybody, and a rank that arrives
later finds it. So two ranks never believe different things about the same exchange. See
docs/design/0013-ranks-agree-beside-training.md.
"""

import pickle
import time
import uuid
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from torch.distributed.distributed_c10d import PrefixStore, _get_default_group

from driftwatch.errors import RanksError

_PART_BYTES = 2**22  # TCPStore takes values of up to 8 MiB
_LONGEST_PAUSE = 0.02  # most seconds between two checks whether something has arrived
_GRACE = 1.25  # others wait for rank 0 longer than rank 0 for them, by this factor, since it answers last
_REMEMBERED = 64  # parts whose names are remembered, in case one comes again
_CURRENT = "session"
_JOINED = "join.0/0"  # the exchange with which a session begins


@dataclass(frozen=True, slots=True)
class Entry:
    """What one rank brings to an exchange.

    Attributes:
        what: What is exchanged, in words.
        digest: A digest of what was asked, the same on every rank.
        kind: "value" after success, "error" if this part of the work failed on this rank, "left" if this rank does not
            come to it at all because something else failed before.
        value: The value, which must pickle; a sentence if the work failed.
        is_setting: Whether it failed because of a setting that cannot work.
    """

    what: str
    digest: str
    kind: Literal["value", "error", "left"]
    value: Any
    is_setting: bool = False


class _Verdict(NamedTuple):
    """The result of an exchange: each rank's value; or a sentence, and the ranks that it is about."""

    values: list[Any] | None
    why: str = ""
    ranks: tuple[int, ...] = ()
    is_lost: bool = False  # the ranks are not at the same place, so nothing more of this part can be exchanged
    is_setting: bool = False
    is_absence: bool = False


class _Lost(NamedTuple):
    """Why nothing more of a part can be exchanged. It keeps no error, whose traceback would keep the model alive."""

    text: str
    ranks: tuple[int, ...] = ()
    is_setting: bool = False

    def error(self) -> RanksError:
        return RanksError(self.text, self.ranks, is_setting=self.is_setting, is_lost=True)


class Line:
    """One session of several ranks: the exchanges of one run, as this rank takes part in them.

    Args:
        store: The process group's store, or another client of it.
        rank: This process's rank.
        size: Number of processes.
        session: The session's name, which rank 0 gave it.
        seconds: How long an exchange waits for a rank.

    Attributes:
        absences: Number of latest exchanges in a row to which some rank did not come.
        is_apart: Whether the ranks' models have different weights, so that only that of rank 0 is asked.
        is_open: Whether a part has begun and not ended; a part inside it belongs to it.
    """

    def __init__(self, store: Any, rank: int, size: int, session: str, seconds: float) -> None:
        self.rank, self.size, self.seconds = rank, size, seconds
        self._store = store
        self._session = session
        self._part, self._index = "begin", 0
        self._opened: dict[str, int] = {}
        self._skipped: dict[str, _Lost] = {}
        self._lost: _Lost | None = None
        self.absences = 0
        self.is_apart = False
        self.is_open = False
        self._old: list[str] = []

    def open(self, part: str) -> None:
        """Begin a part of the run (an observation) by its name, the same on all ranks; its exchanges count from 0."""
        number = self._opened.pop(part, 0)
        self._opened[part] = number + 1
        _forget_first(self._opened)
        self._part, self._index = f"{part}.{number}", 0
        self._lost = self._skipped.pop(part, None)  # what this rank has told the others about the part still holds
        self.is_open = True

    def end(self) -> None:
        """End the part, however it went."""
        self.is_open = False

    def skip(self, part: str, text: str, *, is_setting: bool = False) -> None:
        """Tell the other ranks that this one does not come to a part, and why; do nothing if it has come already."""
        if part in self._opened or part in self._skipped:
            return
        self._skipped[part] = _Lost(text, (self.rank,), is_setting)
        _forget_first(self._skipped)
        with suppress(Exception):  # as in `leave`
            self._tell(f"{self._session}/{part}.0/0", text, is_setting=is_setting)

    def swap(self, entry: Entry, *, seconds: float | None = None) -> list[Any]:
        """Every rank's value, in the order of the ranks.

        Args:
            entry: This rank's entry.
            seconds: How long to wait for a rank; `None` means the session's own limit.

        Raises:
            RanksError: Some rank failed, did not come, or asked something else. Every rank raises it with the same
                words.
        """
        if self._lost is not None:
            raise self._lost.error()
        key = f"{self._session}/{self._part}/{self._index}"
        self._index += 1
        try:
            verdict = self._agreed(key, entry, self.seconds if seconds is None else seconds)
        except Exception as err:
            text = f"rank {self.rank} could not exchange {entry.what}: {type(err).__name__}: {err}"
            self._lost = _Lost(text, (self.rank,))
            with suppress(Exception):  # a store that is gone cannot be told
                self._tell(key, text)
            raise self._lost.error() from err
        self.absences = self.absences + 1 if verdict.is_absence else 0
        if verdict.values is not None:
            return verdict.values
        text = f"{entry.what} was abandoned on all ranks, since {verdict.why}"
        if verdict.is_lost:
            self._lost = _Lost(text, verdict.ranks, verdict.is_setting)
        raise RanksError(text, verdict.ranks, is_setting=verdict.is_setting, is_lost=verdict.is_lost)

    def leave(self, text: str, *, is_setting: bool = False) -> None:
        """Tell the other ranks at once that this one comes to no further exchange of this part, and why."""
        if self._lost is not None:
            return
        self._lost = _Lost(text, (self.rank,), is_setting)
        with suppress(Exception):
            self._tell(f"{self._session}/{self._part}/{self._index}", text, is_setting=is_setting)

    def _tell(self, key: str, text: str, *, is_setting: bool = False) -> None:
        """Have an exchange abandoned. Rank 0 decides so itself; another rank tells rank 0, whose result all read."""
        if self.rank == 0:
            why = f"it failed on rank 0: {text}"
            self._decided(key, _Verdict(None, why, (0,), is_lost=True, is_setting=is_setting))
            self._old += [f"{key}/result", f"{key}/decided"]
        else:
            self._put(f"{key}/{self.rank}", Entry("", "", "left", text, is_setting))
            self._old.append(f"{key}/{self.rank}")

    # One exchange

    def _agreed(self, key: str, entry: Entry, seconds: float) -> _Verdict:
        own, result = f"{key}/{self.rank}", f"{key}/result"
        self._put(own, entry)
        if self.rank == 0:
            verdict = self._decided(key, self._gathered(key, seconds))
        else:
            late = f"rank 0 did not answer within {seconds * _GRACE:.0f} s"
            found = self._awaited(result, seconds * _GRACE)
            verdict = found or self._decided(key, _Verdict(None, late, (0,), is_lost=True, is_absence=True))
        self._forget(own)
        if verdict.values is not None:
            # All ranks are here, so all have read the earlier values.
            for old in self._old:
                self._forget(old)
            self._old = []
        if self.rank == 0 and not key.endswith(_JOINED):  # that one stays, to say that this session is not a new one
            self._old += [result, f"{key}/decided"]
        return verdict

    def _decided(self, key: str, verdict: _Verdict) -> _Verdict:
        """This verdict, unless another rank has decided already."""
        if self._store.add(f"{key}/decided", 1) == 1:
            self._put(f"{key}/result", verdict)
            return verdict
        found = self._awaited(f"{key}/result", self.seconds)
        return found or _Verdict(None, "the rank that gave up did not say why", (), is_lost=True)

    def _gathered(self, key: str, seconds: float) -> _Verdict:
        end, pause = time.monotonic() + seconds, 0.0
        entries: dict[int, Entry] = {}
        while len(entries) < self.size:
            for rank in range(self.size):
                if rank not in entries and self._store.check([f"{key}/{rank}"]):
                    entries[rank], pause = self._get(f"{key}/{rank}"), 0.0
            if any(entry.kind == "left" for entry in entries.values()):
                break
            if len(entries) == self.size:
                break
            if self._store.check([f"{key}/decided"]):
                break  # another rank has given up
            if time.monotonic() > end:
                break
            pause = _wait(pause)
        return _verdict(entries, self.size, seconds)

    def _awaited(self, key: str, seconds: float) -> _Verdict | None:
        """A verdict, once it is there; `None` if it is not there after `seconds`."""
        end, pause = time.monotonic() + seconds, 0.0
        while not self._store.check([key]):
            if time.monotonic() > end:
                return None
            pause = _wait(pause)
        found: _Verdict = self._get(key)
        return found

    # Values of any size

    def _put(self, key: str, value: Any) -> None:
        packed = zlib.compress(pickle.dumps(value), 1)
        parts = [packed[start : start + _PART_BYTES] for start in range(_PART_BYTES, len(packed), _PART_BYTES)]
        for number, part in enumerate(parts):
            self._store.set(f"{key}+{number}", part)
        # This is set last, since its presence says that all parts are there.
        self._store.set(key, b"%d;" % len(parts) + packed[:_PART_BYTES])

    def _get(self, key: str) -> Any:
        number, _, packed = bytes(self._store.get(key)).partition(b";")
        rest = [bytes(self._store.get(f"{key}+{index}")) for index in range(int(number))]
        return pickle.loads(zlib.decompress(b"".join([packed, *rest])))

    def _forget(self, key: str) -> None:
        """Free the store of a value, so that it does not grow with the run."""
        if not key.endswith("decided"):
            number = bytes(self._store.get(key)).partition(b";")[0] if self._store.check([key]) else b"0"
            for index in range(int(number)):
                self._store.delete_key(f"{key}+{index}")
        self._store.delete_key(key)


def join(store: Any, rank: int, size: int, *, seconds: float, limit: float) -> Line:
    """A new session of all ranks; each must call this, and rank 0 names it.

    Args:
        store: The process group's store.
        rank: This process's rank.
        size: Number of processes.
        seconds: How long an exchange of the session waits for a rank.
        limit: How many seconds the first exchange waits.

    Raises:
        RanksError: Some rank did not come in time. Every rank that came raises it.
    """
    store = PrefixStore("driftwatch", _own_client(store))
    if rank == 0:
        session = uuid.uuid4().hex[:12]
        store.set(_CURRENT, session)
    else:
        session = _current(store, limit)
    line = Line(store, rank, size, session, seconds)
    line.open("join")
    line.swap(Entry("the first exchange", "", "value", None), seconds=limit)
    line.end()
    return line


def _current(store: Any, limit: float) -> str:
    """The session that rank 0 has opened and whose first exchange is not decided yet."""
    end, pause = time.monotonic() + limit, 0.0
    while True:
        if store.check([_CURRENT]):
            session = bytes(store.get(_CURRENT)).decode()
            if not store.check([f"{session}/{_JOINED}/decided"]):
                return session
        if time.monotonic() > end:
            raise RanksError(f"rank 0 did not begin to watch within {limit:.0f} s", (0,))
        pause = _wait(pause)


def _own_client(store: Any) -> Any:
    """A connection of our own, on which nobody else waits; the given one if this store cannot have a second."""
    try:
        return store.clone()  # torch 2.7
    except (AttributeError, NotImplementedError, RuntimeError):
        return store


def _wait(pause: float) -> float:
    """Sleeps for `pause` seconds, and returns the next, longer pause."""
    time.sleep(pause)
    return min(_LONGEST_PAUSE, max(2e-4, pause * 1.5))


def _verdict(entries: dict[int, Entry], size: int, seconds: float) -> _Verdict:
    """The result that rank 0 draws from the entries that it was given."""
    listed = sorted(entries.items())
    failed = [(rank, entry) for rank, entry in listed if entry.kind != "value"]
    kinds = {entry.what for _, entry in listed if entry.kind != "left"}
    if failed:
        why = "it failed on " + "; ".join(f"rank {rank}: {entry.value}" for rank, entry in failed)
        in_step = len(kinds) == 1 and len(entries) == size and all(entry.kind == "error" for _, entry in failed)
        is_setting = any(entry.is_setting for _, entry in failed)
        return _Verdict(None, why, tuple(rank for rank, _ in failed), is_lost=not in_step, is_setting=is_setting)
    if missing := tuple(rank for rank in range(size) if rank not in entries):
        late = f"{_named(missing)} did not answer within {seconds:.0f} s"
        return _Verdict(None, late, missing, is_lost=True, is_absence=True)
    asked = [(entry.what, entry.digest) for _, entry in listed]
    if others := tuple(rank for rank, found in enumerate(asked) if found != asked[0]):
        what = f"{_named(others)} asked something else than rank 0 ({asked[others[0]][0]}, not {asked[0][0]})"
        if asked[others[0]][0] == asked[0][0]:
            what = f"{_named(others)} asked something else than rank 0 at the same place"
        return _Verdict(None, what, others, is_lost=True)
    return _Verdict([entry.value for _, entry in listed])


def _forget_first(known: dict[str, Any]) -> None:
    """Forget the earliest part if there are very many."""
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]


def _named(ranks: Sequence[int]) -> str:
    """Ranks in words; if there are very many, only the first of them by number."""
    shown = ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return f"rank {shown}" if len(ranks) == 1 else f"ranks {shown}"


def group_seconds() -> float:
    """Time-out of the default process group in seconds, the shortest of its backends; NCCL's 600 s if unknown."""
    group, found = _get_default_group(), []
    for device in getattr(group, "_device_types", []):
        try:
            timeout = group._get_backend(device).options._timeout
        except (AttributeError, RuntimeError):  # a backend that does not show its options
            continue
        if isinstance(timeout, timedelta) and timeout > timedelta(0):
            found.append(timeout.total_seconds())
    return min(found, default=600.0)
