"""Runs the command under `driftwatch run`: sets its environment, forwards signals and returns its exit code."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from driftwatch.errors import ConfigError
from driftwatch.launch.notes import CONFIG, FOLDER

HOOK = Path(__file__).parent / "hook"
_FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_TERMINAL = ("SIGINT", "SIGHUP", "SIGQUIT")  # a terminal sends these to every process in its foreground


class NotStarted(ConfigError):
    """A command that could not be started; `exit_code` is what a shell would exit with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def environment(given: Mapping[str, str], *, notes: Path, config: Path | None) -> dict[str, str]:
    """The command's environment, with the hook first on PYTHONPATH and the paths of the notes and of the settings.

    >>> environment({"PYTHONPATH": "src"}, notes=Path("/n"), config=None)["PYTHONPATH"].split(os.pathsep)[1]
    'src'
    """
    path = os.pathsep.join([str(HOOK), *([given["PYTHONPATH"]] if given.get("PYTHONPATH") else [])])
    found = {**given, "PYTHONPATH": path, FOLDER: str(notes)}
    if config is not None:
        found[CONFIG] = str(config.absolute())
    return found


def run(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command to its end, forwarding signals to it.

    Returns:
        Its exit code; 128 plus the signal's number where a signal ended it, as in shells.

    Raises:
        NotStarted: There is no such program, or it cannot be executed.
    """
    with _forwarding() as forward_to:
        try:
            child = subprocess.Popen(command, env=env)
        except FileNotFoundError as err:
            raise NotStarted(
                f'expected a program after "--"; there is no "{command[0]}" on PATH. Check its name.', 127
            ) from err
        except OSError as err:
            raise NotStarted(
                f'"{command[0]}" cannot be executed ({err.strerror}). For a script write: -- python {command[0]}.', 126
            ) from err
        forward_to(child)
        code = child.wait()
    return code if code >= 0 else 128 - code


class _Forwarder:
    """Passes signals on to the child; those that come before it has started wait for it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []

    def __call__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._waiting:
            child.send_signal(number)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        if signal.Signals(number).name in _FROM_TERMINAL and _is_in_foreground():
            return  # the child has it already; accelerate and torchrun take a second one as an order to stop at once
        if self._child is None:
            self._waiting.append(number)
        else:
            self._child.send_signal(number)


@contextmanager
def _forwarding() -> Iterator[_Forwarder]:
    forwarder = _Forwarder()
    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    # Ignored signals stay ignored, for the child as well, since nohup relies on that.
    before = {n: signal.signal(n, forwarder.pass_on) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield forwarder
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # there is no terminal, or no stdin at all
        return False


def shown(command: Sequence[str]) -> str:
    """The command as a person would type it; the end of a long one is cut off."""
    text = shlex.join(command)
    return text if len(text) <= 120 else f"{text[:119]}…"
