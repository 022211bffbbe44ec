"""Tail: the one reader of files that grow by JSON lines, while somebody else appends to them.

What its callers need not think about:

- A last line without an end is being written, or its writer died in it: it is left where it is until its end comes.
- A file that was replaced, cut or begun anew is read from its beginning; its last bytes tell where its number does not.
- A line that no JSON can be (holes of NUL bytes after a power cut, more bytes than anybody writes) costs itself alone.
- Whatever stands in the file's place (a folder, a pipe, a link where none is wanted) is no file.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec

from driftwatch.errors import NewerSchemaError, StoreError

MAX_LINE = 64 << 20  # bytes; an observation of a thousand topics is far below
_CHUNK = 1 << 20  # bytes that are read of a line at a time
_REMEMBERED = 64  # bytes before the place that was reached; no two lines of ours end alike in so many
_BOM = b"\xef\xbb\xbf"

Value = TypeVar("Value")


class Line(NamedTuple):
    """One whole line.

    Attributes:
        begin: Where its text begins in the file, in bytes.
        text: Without line end and NUL bytes; empty where nothing can be read.
        end: Where the next line begins.
    """

    begin: int
    text: bytes
    end: int


class Tail:
    """Reads a file as it grows; each call goes on where the last one came to.

    Args:
        path: Of the file, which need not be there yet.
        offset: Where to begin: the `end` of a line that was read before, perhaps by another process.
        restarted: Called before the first line of a file that is another one than before.
        follow_links: Whether a link to a file is one.
        max_line: Bytes; a longer line is given without its text.

    Attributes:
        offset: Where the next call begins.
        unfinished: Bytes after that, without a line end, when the file was last read.
        damaged: Lines that `values` could not decode.
        problem: Why not, of the first one; `None` where all could be.
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
        self._file: tuple[int, int] | None = None  # device and number
        self._seen: tuple[int, int] | None = None  # size and time of the last change
        self._before: bytes | None = None  # the bytes before the offset; `None` before anything was read

    def lines(self) -> Iterator[Line]:
        """The lines that were finished since the last call; those that are blank are left out.

        Raises:
            OSError: The file is there and cannot be read.
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
        self._seen = changed  # not before: whoever leaves in the middle reads the rest next time

    def values(self, decode: Callable[[bytes], Value]) -> Iterator[tuple[Line, Value]]:
        """What the lines say; one that cannot be decoded is counted and passed over.

        Args:
            decode: Of the text of one line.

        Raises:
            OSError: The file is there and cannot be read.
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
        """Whether what was read is still there. Numbers of files are used again, and a file can be cut and refilled."""
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
                # Of a line that is too long only its end is looked for, whatever its length.
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
    """The texts of the last lines of a file, oldest first; none where it cannot be read.

    Args:
        path: Of the file.
        most: Bytes that are read from its end; more only where not even the last line is in them.
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
    """Where the last whole line ends, in bytes from the beginning of a file; searched from its end."""
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
    """The text of a line and the bytes that were left out before it: NUL bytes, and a mark of the order of bytes."""
    kept = text.lstrip(b"\0")
    if is_first and kept.startswith(_BOM):
        kept = kept[len(_BOM) :]
    return len(text) - len(kept), kept.rstrip(b"\r\n")
