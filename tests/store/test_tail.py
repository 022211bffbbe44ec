"""The one reader of growing files: whatever is appended, however it is cut into reads, each line is read once."""

import json
import os
import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftwatch.errors import NewerSchemaError, StoreError
from driftwatch.store.tail import Tail, end_of_lines, last_lines

PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\0" * 5, b"\xef\xbb\xbf", b"{}", b'{"a": 1}\n', b"x" * 40, b" \t\n"]),
)
CONTENT = st.lists(PIECES, max_size=25).map(b"".join)
fuzzed = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines.jsonl"


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def read(tail):
    return list(tail.lines())


def texts(tail):
    return [line.text for line in tail.lines()]


def expected(content, most=1 << 30):
    """What a file of this content says, told in the simplest way."""
    found, begin = [], 0
    for raw in content.split(b"\n")[:-1]:
        end = begin + len(raw) + 1
        text = raw.lstrip(b"\0")
        if begin == 0:
            text = text.removeprefix(b"\xef\xbb\xbf")
        if end - begin > most:
            found.append((b"", end))
        elif raw.strip():
            found.append((text.rstrip(b"\r"), end))
        begin = end
    return found


@fuzzed
@given(content=CONTENT, cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_split_of_the_bytes_into_reads_gives_the_same_lines(tmp_path_factory, content, cuts):
    path = tmp_path_factory.mktemp("tail") / "lines.jsonl"
    tail, found = Tail(path), []
    places = sorted({min(cut, len(content)) for cut in cuts} | {len(content)})
    for begin, end in zip([0, *places], places, strict=False):
        append(path, content[begin:end])
        found += read(tail)
    assert [(line.text, line.end) for line in found] == expected(content)
    assert found == read(Tail(path))
    for line in found:
        assert content[line.begin :].startswith(line.text)
    assert tail.offset + tail.unfinished == len(content)
    assert tail.offset == content.rfind(b"\n") + 1
    with path.open("rb") as file:
        assert end_of_lines(file) == tail.offset


@fuzzed
@given(content=CONTENT, cut=st.integers(0, 300), most=st.integers(1, 30))
def test_lines_that_are_too_long_are_given_without_their_text(tmp_path_factory, content, cut, most):
    path = tmp_path_factory.mktemp("tail") / "lines.jsonl"
    tail = Tail(path, max_line=most)
    append(path, content[:cut])
    found = read(tail)
    append(path, content[cut:])
    found += read(tail)
    assert [(line.text, line.end) for line in found] == expected(content, most)


@fuzzed
@given(content=CONTENT, number=st.integers(0, 30))
def test_another_process_goes_on_where_one_has_come_to(tmp_path_factory, content, number):
    path = tmp_path_factory.mktemp("tail") / "lines.jsonl"
    append(path, content)
    whole = read(Tail(path))
    number = min(number, len(whole))
    offset = whole[number - 1].end if number else 0
    assert read(Tail(path, offset=offset)) == whole[number:]


@fuzzed
@given(content=CONTENT, most=st.integers(1, 60))
def test_the_last_lines_are_those_that_a_whole_reading_ends_with(tmp_path_factory, content, most):
    path = tmp_path_factory.mktemp("tail") / "lines.jsonl"
    append(path, content)
    whole, last = texts(Tail(path)), last_lines(path, most=most)
    assert whole[len(whole) - len(last) :] == last
    assert last or not whole or not content[: content.rfind(b"\n")].rpartition(b"\n")[2].strip(), "at least one line"
    assert last_lines(path, most=10_000) == whole


def test_whoever_leaves_in_the_middle_reads_the_rest_the_next_time(path):
    append(path, b"1\n2\n3\n")
    tail = Tail(path)
    assert next(tail.lines()).text == b"1"
    assert texts(tail) == [b"2", b"3"]
    assert texts(tail) == []


def test_lines_longer_than_one_read_are_whole(path):
    long = b"x" * (3 << 20)
    append(path, b"a\n" + long + b"\nb\n")
    assert texts(Tail(path)) == [b"a", long, b"b"]
    assert texts(Tail(path, max_line=2 << 20)) == [b"a", b"", b"b"]
    assert last_lines(path, most=1) == [b"b"]
    append(path, long)
    with path.open("rb") as file:
        assert end_of_lines(file) == 2 + len(long) + 3
    assert last_lines(path, most=10) == [b"b"]


def replaced(path, content):
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def removed_and_made(path, content):
    path.unlink()
    path.write_bytes(content)


def overwritten(path, content):
    path.write_bytes(content)


@pytest.mark.parametrize("change", [replaced, removed_and_made, overwritten])
@pytest.mark.parametrize("content", [b"", b"9\n", b"7\n8\n9\n", b"8\n9\n8\n9\n8\n9\n8\n9\n", b"no end"])
def test_another_file_in_its_place_is_read_from_its_beginning(path, change, content):
    """Also where it is as long, or longer, or got the number of the one before, which file systems give again."""
    told = []
    append(path, b"1\n2\n3\n")
    tail = Tail(path, restarted=lambda: told.append(True))
    assert texts(tail) == [b"1", b"2", b"3"]
    assert told == []
    os.utime(path, ns=(1, 1))  # else the change could fall into the same tick of the clock
    change(path, content)
    assert texts(tail) == content.split(b"\n")[:-1]
    assert told == [True]
    append(path, b"4\n")
    assert texts(tail)[-1:] in ([b"4"], [b"no end4"])
    assert told == [True]


def test_a_file_that_goes_and_comes_is_begun_anew(path):
    told = []
    tail = Tail(path, restarted=lambda: told.append(True))
    assert texts(tail) == []
    append(path, b"1\n")
    assert texts(tail) == [b"1"]
    path.unlink()
    assert texts(tail) == []
    append(path, b"1\n")
    assert texts(tail) == [b"1"]
    assert told == [True]


@pytest.mark.parametrize("offset", [1, 3, 5, 7, 100])
def test_a_place_that_no_line_ends_at_is_one_of_another_file(path, offset):
    append(path, b"10\n20\n3")
    assert texts(Tail(path, offset=offset)) == ([b"20"] if offset == 3 else [b"10", b"20"])


def test_what_is_no_file_has_no_lines_and_holds_nobody_up(path, tmp_path):
    os.mkfifo(path)
    assert texts(Tail(path)) == []
    assert texts(Tail(tmp_path)) == []
    assert texts(Tail(tmp_path / "nowhere" / "lines")) == []
    (tmp_path / "file").write_bytes(b"1\n")
    assert texts(Tail(tmp_path / "file" / "lines")) == []
    assert last_lines(tmp_path / "nowhere", most=10) == []


def test_a_link_is_followed_where_it_may_be(path, tmp_path):
    (tmp_path / "real").write_bytes(b"1\n")
    path.symlink_to(tmp_path / "real")
    assert texts(Tail(path)) == [b"1"]
    assert texts(Tail(path, follow_links=False)) == []


def test_what_cannot_be_decoded_is_counted_and_passed_over(path):
    append(path, b'1\n{]\n\xff\xfe\n"x"\n' + b"[" * 100_000 + b"\n" + b"\0" * 9 + b"\n" + b"\0" * 9 + b"2\n")
    tail = Tail(path)
    assert [value for _, value in tail.values(msgspec.json.Decoder(int).decode)] == [1, 2]
    assert tail.damaged == 5
    assert tail.problem.startswith("Expected `int`"), "of the first one"
    append(path, b"3\n{\n")
    assert [value for _, value in tail.values(json.loads)] == [3]
    assert tail.damaged == 6
    path.write_bytes(b"4\n")
    assert [value for _, value in tail.values(json.loads)] == [4]
    assert (tail.damaged, tail.problem) == (0, None)


def test_what_a_newer_driftwatch_wrote_is_no_damage(path):
    def decode(text):
        raise {b"newer": NewerSchemaError, b"other": StoreError}[text](text.decode())

    append(path, b"other\nnewer\n")
    tail = Tail(path)
    with pytest.raises(NewerSchemaError, match="newer"):
        list(tail.values(decode))
    assert tail.damaged == 1


def test_nothing_is_opened_where_nothing_has_changed(path, monkeypatch):
    append(path, b"1\n2")
    tail = Tail(path)
    assert texts(tail) == [b"1"]
    monkeypatch.setattr("builtins.open", pytest.fail)
    assert texts(tail) == []
    assert (tail.offset, tail.unfinished) == (2, 1)


def test_a_writer_beside_loses_no_line(path):
    """Many appends of odd sizes, read in between: what a service does beside a training."""
    draw, tail, found, content = random.Random(0), Tail(path), [], b""
    for _ in range(400):
        piece = bytes(draw.choices(b'ab{}"\n', k=draw.randrange(9)))
        append(path, piece)
        content += piece
        found += texts(tail)
    assert found == [text for text, _ in expected(content)]
