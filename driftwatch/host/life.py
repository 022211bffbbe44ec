"""Life: how a run ends when nobody says so, and what a forked process must not keep of it.

::

    the training loop leaves its thread's stack   an error, Ctrl-C in a notebook: on_train_end never comes
    the model or the monitor is collected         a loop without a Trainer, given up
    the interpreter ends                          an error that nobody catches
    SIGTERM                                       the end of a job's time; where nobody else listens for it
    a fork                                        workers of a data loader inherit sockets, and no threads

Whoever notices says it to the run's `Delivery`, whose thread does the rest: a finaliser or a signal may come at any
instruction, so that here nothing is waited for and no lock is taken. Nothing of the model or the trainer is held.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Literal, Protocol
from weakref import ReferenceType, ref

End = Literal["finished", "stopped", "failed"]

EXIT_SECONDS = 20.0  # how long the end of the process waits for the last observation to be delivered
TERM_SECONDS = 5.0  # after SIGTERM: whoever sends it sends another signal soon


def nothing() -> None:
    """A way to an object that there is not."""


def weakly(thing: Any) -> Callable[[], Any]:
    """A way to an object that does not keep it alive; for one that cannot be referred to so, the object itself."""
    try:
        return nothing if thing is None else ref(thing)
    except TypeError:
        return lambda: thing


class Living(Protocol):
    """What has threads and sockets, and an end."""

    @property
    def is_given_up(self) -> bool:
        """Whether it will end, but has not yet."""
        ...

    def close(self, state: End, *, timeout: float) -> None:
        """End, and wait for it."""
        ...

    def abandon(self) -> None:
        """In a forked child: forget the threads, close the sockets, write nothing."""
        ...


class TrainingLoop:
    """A training loop as its thread's stack shows it; only its place is kept, not the frame.

    Args:
        frame: Of the loop, while it runs.
    """

    def __init__(self, frame: FrameType) -> None:
        self.thread = threading.get_ident()
        self._place = id(frame)
        self._code: CodeType = frame.f_code

    @property
    def is_running(self) -> bool:
        """Whether it still is on that stack. The frame of an error that is being handled is there no more."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None:
            if id(frame) == self._place and frame.f_code is self._code:
                return True
            frame = frame.f_back
        return False


def training_loop(name: str = "train") -> TrainingLoop | None:
    """The innermost function of this name that has called the caller; `None` where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return None if frame is None else TrainingLoop(frame)


def how_it_ended(thread: int | None = None) -> End:
    """Of a training that ended without a word: "stopped" where a person interrupted it, else "failed".

    Args:
        thread: In which it ran; the error that is being handled there counts first.
    """
    handled: Any = sys._current_exceptions().get(thread) if thread is not None else None
    if isinstance(handled, tuple):  # before Python 3.12
        handled = handled[1]
    found = handled or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return "stopped" if isinstance(found, KeyboardInterrupt) else "failed"


_living: dict[int, ReferenceType[Living]] = {}  # copied before it is gone through: threads and signals change it
_hooked = False


def begin(one: Living) -> None:
    """See to the end of what has begun."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _living[id(one)] = ref(one)
    _listen_for_sigterm()


def end(one: Living) -> None:
    """It has ended."""
    _living.pop(id(one), None)
    if not _living:
        _stop_listening()


def settle() -> None:
    """Have end now what is given up, so that another training of this process can go on with its run."""
    for one in _alive():
        if one.is_given_up:
            one.close(how_it_ended(), timeout=EXIT_SECONDS)


def _alive() -> list[Living]:
    return [one for found in list(_living.values()) if (one := found()) is not None]


def _at_exit() -> None:
    for one in _alive():
        one.close(how_it_ended(), timeout=EXIT_SECONDS)


def _in_child() -> None:
    for one in _alive():
        one.abandon()
    _living.clear()
    _stop_listening()


def _listen_for_sigterm() -> None:
    """Only where the process would simply be gone: whoever handles the signal ends the training in a way of their own.

    The process still dies of the signal, as its parent expects.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # an interpreter inside another one
            signal.signal(signal.SIGTERM, _on_sigterm)


def _stop_listening() -> None:
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        with contextlib.suppress(ValueError):  # not the main thread; the handler does no harm
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    for one in _alive():
        one.close("stopped", timeout=TERM_SECONDS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
