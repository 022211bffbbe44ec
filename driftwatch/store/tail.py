"""Tail: the one reader of files that grow by JSON lines, while another process appends to them.

Its callers need not think about the following:

- A last line without an end is still being written, or its writer died. It is left until its end comes.
- A file that was replaced, cut or begun anew is read from its beginning. If its inode number does not show this, the
  last bytes that were read do.
- A line that cannot be JSON (a hole of NUL bytes after a power cut, or far too many bytes) is skipped alone.
- Anything else in the file's place (a folder, a pipe, or a link where links are not followed) counts as no file.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec

from driftwatch.errors import NewerSchemaError, StoreError

MAX_LINE = 64 << 20  # bytes; an observation of a thousand topics has far fewer
_CHUNK = 1 << 20  # bytes of a line that are read at a time
_REMEMBERED = 64  # bytes that are remembered before the offset; no two of our lines have the same last 64 bytes
_BOM = b"\xef\xbb\xbf"

Value = TypeVar("Value")


class Line(NamedTuple):
    """One whole line.

    Attributes:
        begin: Offset in the file at which the text begins, in bytes.
        text: The line without its end and without leading NUL bytes; empty where the line is too long or all NUL.
        end: Offset at which the next line begins, in bytes.
    """

    begin: int
    text: bytes
    end: int


class Tail:
    """A reader of a file as it grows; each call goes on where the last one ended.

    Args:
        path: Path of the file, which need not exist yet.
        offset: Where to begin: the `end` of a line that was read before, perhaps by another process.
        restarted: Called before the first line of a file that is not the one read before.
        follow_links: Whether a symbolic link to a file counts as a file.
        max_line: Most bytes of a line; a longer line comes without its text.

    Attributes:
        offset: Where the next call begins, in bytes.
        unfinished: Number of bytes after the offset, without a line end, when the file was last read.
        damaged: Number of lines that `values` could not decode.
        problem: Why the first of these could not be decoded; `None` where there is none.
    """

    def __init__(
        self,
        path: Path,
        *,
        offset: int = 0,
        restarted: Callable[[], None] | None = None,
        follow_links: bool = True,
        max_line: int = MAX_LINE,
    ) -> None:
        self.path = path
        self.offset = offset
        self.unfinished = 0
        self.damaged = 0
        self.problem: str | None = None
        self._restarted = restarted
        self._follow_links = follow_links
        self._max_line = max_line
        self._file: tuple[int, int] | None = None  # device and inode number
        self._seen: tuple[int, int] | None = None  # size and time of the last change
        self._before: bytes | None = None  # the bytes before the offset; `None` before anything was read

    def lines(self) -> Iterator[Line]:
        """The lines that were finished since the last call, without blank ones.

        Raises:
            OSError: The file exists but cannot be read.
        """
        status = self._status()
        if status is None:
            if self._file is not None:
                self._begin_anew()
            self._file = self._seen = None
            return
        changed = status.st_size, status.st_mtime_ns
        if self._file == (status.st_dev, status.st_ino) and self._seen == changed:
            return
        with open(self.path, "rb", opener=self._open) as file:
            is_known = self._file in (None, (status.st_dev, status.st_ino))
            if not (is_known and self._goes_on(file)):
                self._begin_anew()
            self._file, self._seen = (status.st_dev, status.st_ino), None
            yield from self._read(file)
        self._seen = changed  # only here, so that a caller who stops in the middle gets the rest next time

    def values(self, decode: Callable[[bytes], Value]) -> Iterator[tuple[Line, Value]]:
        """Each new line with its decoded value; a line that cannot be decoded is counted and skipped.

        Args:
            decode: Makes a value of the text of one line.

        Raises:
            OSError: The file exists but cannot be read.
            NewerSchemaError: A newer driftwatch wrote a line.
        """
        for line in self.lines():
            try:
                value = decode(line.text)
            except NewerSchemaError:
                raise
            except (msgspec.MsgspecError, StoreError, ValueError, KeyError, TypeError, RecursionError) as err:
                self.damaged += 1
                self.problem = self.problem or str(err)
                continue
            yield line, value

    def _status(self) -> os.stat_result | None:
        try:
            status = os.stat(self.path, follow_symlinks=self._follow_links)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, flags if self._follow_links else flags | getattr(os, "O_NOFOLLOW", 0))

    def _goes_on(self, file: IO[bytes]) -> bool:
        """Whether what was read is still there: inode numbers are used again, and a file can be cut and refilled."""
        if self.offset == 0:
            return True
        expected = b"\n" if self._before is None else self._before
        if os.fstat(file.fileno()).st_size < self.offset:
            return False
        file.seek(self.offset - len(expected))
        return file.read(len(expected)) == expected

    def _begin_anew(self) -> None:
        self.offset, self._before, self._seen = 0, None, None
        self.damaged, self.problem = 0, None
        if self._restarted is not None:
            self._restarted()

    def _read(self, file: IO[bytes]) -> Iterator[Line]:
        file.seek(self.offset)
        while True:
            begin, text, size = self.offset, b"", 0
            while not text.endswith(b"\n"):
                part = file.readline(_CHUNK)
                if not part:
                    self.unfinished = size
                    return
                size += len(part)
                # Of a line that is too long, nothing is kept but its end.
                text = text + part if size <= self._max_line else part[-1:]
            self.offset, self.unfinished = begin + size, 0
            self._before = ((self._before or b"") + text)[-_REMEMBERED:]
            if size > self._max_line:
                self._before = None
                yield Line(begin, b"", self.offset)
            elif text.strip():
                skipped, text = _cleaned(text, is_first=begin == 0)
                yield Line(begin + skipped, text, self.offset)


def last_lines(path: Path, *, most: int) -> list[bytes]:
    """The texts of the last lines of a file, oldest first; empty where it cannot be read.

    Args:
        path: Path of the file.
        most: Number of bytes to read from its end; more are read only if they do not hold even the last line.
    """
    try:
        with path.open("rb") as file:
            end = end_of_lines(file)
            length = min(end, most)
            while True:
                file.seek(end - length)
                data = file.read(length)
                begin = 0 if length == end else data.find(b"\n") + 1
                if begin < length or length == end:
                    break
                length = min(end, length * 2)
    except OSError:
        return []
    texts = data[begin:].split(b"\n")[:-1]
    is_whole = length == end
    return [_cleaned(text, is_first=is_whole and not n)[1] for n, text in enumerate(texts) if text.strip()]


def end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line of a file ends, in bytes from its beginning; the search goes from the end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - _CHUNK)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _cleaned(text: bytes, *, is_first: bool) -> tuple[int, bytes]:
    """The number of bytes left out before a line's text, and the text: leading NUL bytes and a byte order mark go."""
    kept = text.lstrip(b"\0")
    if is_first and kept.startswith(_BOM):
        kept = kept[len(_BOM) :]
    return len(text) - len(kept), kept.rstrip(b"\r\n")
