"""What a file may hold, and what is refused before it costs anything."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.documents import files as document
from driftwatch.documents.files import read_json, read_text, read_yaml
from driftwatch.documents.node import Node, Unreadable


def plain(node: Node) -> object:
    """The value without its lines."""
    if isinstance(node.value, dict):
        return {key: plain(entry) for key, entry in node.value.items()}
    if isinstance(node.value, list):
        return [plain(entry) for entry in node.value]
    return node.value


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 2]))
def test_json_is_read_as_the_standard_library_reads_it(value, indent):
    assert plain(read_json(json.dumps(value, indent=indent), "a.json")) == value


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(st.text("xyz é‘", min_size=1), max_size=3), max_size=4))
def test_yaml_is_read_as_pyyaml_reads_it(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    assert plain(read_yaml(text, "a.yaml")) == yaml.safe_load(text)


def test_json_values_know_their_lines():
    root = read_json('[\n {"a": 1,\n  "b": [2,\n 3]},\n\n {}]', "a.json")
    assert isinstance(root.value, list)
    first, second = root.value
    assert isinstance(first.value, dict)
    assert [str(node.place) for node in (first, first.value["b"], second)] == ["a.json:2", "a.json:3", "a.json:6"]


def test_yaml_values_know_their_lines_and_mapping_entries_that_of_their_key():
    root = read_yaml("a:\n  - x\n\n  - y\nb:\n  c: 1\n", "a.yaml")
    assert isinstance(root.value, dict)
    assert isinstance(root.value["a"].value, list)
    assert [node.place.line for node in root.value["a"].value] == [2, 4]
    assert root.value["b"].place.line == 5


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "expected YAML, found: .*Correct it"),
        ("a: b: c", "1: expected YAML, found: mapping values are not allowed"),
        ("a: 1\na: 2\n", '2: expected each key once, found "a" again'),
        ("? [a]\n: 1\n", "1: expected a name as key, found a list, mapping or alias"),
        ("a: &x [1]\nb: *x\n", '2: expected no aliases, found "[*]x"'),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            'expected plain data, found the tag "tag:yaml.org,2002:python/obj',
        ),
        ("a: !!python/name:os.system x\n", 'expected plain data, found the tag "tag:yaml.org,2002:python/name'),
        ("", "expected a pack, found an empty file"),
        ("# only a comment\n", "expected a pack, found an empty file"),
        ("a: 1\n---\nb: 2\n", "2: expected one document, found another one"),
        ("a: 1\nb: \x07\n", r"2: expected printable text, found U\+0007"),
        ("a: 'x'\nb: 'y\n", "expected YAML, found: .*unexpected end of stream"),
    ],
)
def test_yaml_that_is_no_plain_data_is_refused(loader, text, message):
    with pytest.raises(Unreadable, match=message):
        read_yaml(text, "a.yaml", loader=loader)


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_an_alias_bomb_costs_nothing(loader):
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(Unreadable, match="expected no aliases"):
        read_yaml("\n".join(rows), "bomb.yaml", loader=loader)


@pytest.mark.parametrize("reader", [read_yaml, read_json])
def test_a_tower_of_brackets_is_refused(reader):
    with pytest.raises(Unreadable, match=r"nesting|nested|expected (YAML|JSON)"):
        reader("[" * 100_000 + "]" * 100_000, "tower")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n"b"}', "2: expected JSON, found: "),
        ('{"a": 1,\n "a": 2}', '2: expected each key once, found "a" again'),
        ('["\\ud800"]', r"1: expected characters, found half of one \(U\+D800\)"),
        ("1" * 5000, "expected JSON, found: Exceeds the limit"),
        ("", "1: expected JSON, found: Expecting value"),
    ],
)
def test_json_that_cannot_be_used_is_refused(text, message):
    with pytest.raises(Unreadable, match=message):
        read_json(text, "a.json")


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: b\nc: caf\xe9\n".encode("latin-1"))
    with pytest.raises(Unreadable, match=r"latin\.yaml:2: expected UTF-8, found byte 0xe9\. Save the file as UTF-8"):
        read_text(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfid: a\n")
    assert read_text(path) == "id: a\n"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(document.MAX_BYTES + 1)
    with pytest.raises(Unreadable, match=r"expected at most 16777216 bytes, found 16777217\. Split the pack"):
        read_text(path)


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(Unreadable, match="expected a readable file, found: No such file"):
        read_text(tmp_path / "gone.yaml")
