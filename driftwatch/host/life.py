"""Ends a run whose training ends without saying so, and frees a forked process from it.

::

    the training loop leaves its thread's stack   an error, Ctrl-C in a notebook: on_train_end is not called
    the model or the monitor is collected         a loop without a Trainer, given up
    the interpreter ends                          an error that nobody catches
    SIGTERM                                       the end of a job's time, if nobody else handles the signal
    a fork                                        workers of a data loader inherit sockets, and no threads

Each of these tells the run's `Delivery`, whose thread does the rest. A finaliser or a signal may come at any
instruction, so nothing here waits or takes a lock. Nothing here keeps the model or the trainer alive.
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
TERM_SECONDS = 5.0  # how long SIGTERM waits for the same, since SIGKILL follows soon


def nothing() -> None:
    """A reference to no object; returns `None`."""


def weakly(thing: Any) -> Callable[[], Any]:
    """A reference that does not keep an object alive; if that is impossible, one that does."""
    try:
        return nothing if thing is None else ref(thing)
    except TypeError:
        return lambda: thing


class Living(Protocol):
    """Something with threads and sockets that has to be ended."""

    @property
    def is_given_up(self) -> bool:
        """Whether it is going to end, but has not ended yet."""
        ...

    def close(self, state: End, *, timeout: float) -> None:
        """End, and wait for it."""
        ...

    def abandon(self) -> None:
        """In a forked child: forget the threads, close the sockets, and write nothing."""
        ...


class TrainingLoop:
    """A training loop on its thread's stack; only the frame's address is kept, not the frame.

    Args:
        frame: The loop's frame, while it runs.
    """

    def __init__(self, frame: FrameType) -> None:
        self.thread = threading.get_ident()
        self._place = id(frame)
        self._code: CodeType = frame.f_code

    @property
    def is_running(self) -> bool:
        """Whether it is still on that stack. It is not, once an error has left it, even while that is handled."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None:
            if id(frame) == self._place and frame.f_code is self._code:
                return True
            frame = frame.f_back
        return False


def training_loop(name: str = "train") -> TrainingLoop | None:
    """The innermost function of this name on the caller's stack; `None` if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return None if frame is None else TrainingLoop(frame)


def how_it_ended(thread: int | None = None) -> End:
    """How a training ended that did not say so: "stopped" if a person interrupted it, else "failed".

    Args:
        thread: The thread in which it ran; an error that is being handled there counts first.
    """
    handled: Any = sys._current_exceptions().get(thread) if thread is not None else None
    if isinstance(handled, tuple):  # before Python 3.12
        handled = handled[1]
    found = handled or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return "stopped" if isinstance(found, KeyboardInterrupt) else "failed"


_living: dict[int, ReferenceType[Living]] = {}  # copied before each loop over it, since threads and signals change it
_hooked = False


def begin(one: Living) -> None:
    """Make sure that this ends, however the process goes on."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _living[id(one)] = ref(one)
    _listen_for_sigterm()


def end(one: Living) -> None:
    """Note that this has ended."""
    _living.pop(id(one), None)
    if not _living:
        _stop_listening()


def settle() -> None:
    """End now what is given up, so that another training of this process can go on with its run."""
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
    """Handle SIGTERM if nobody else does; another handler ends the training in its own way.

    The process still dies of the signal, as its parent expects.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # an interpreter inside another one
            signal.signal(signal.SIGTERM, _on_sigterm)


def _stop_listening() -> None:
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        with contextlib.suppress(ValueError):  # this is not the main thread, and the handler does no harm
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    for one in _alive():
        one.close("stopped", timeout=TERM_SECONDS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
