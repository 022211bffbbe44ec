"""The table of chat templates in docs/trainers.md is what a run finds out about them."""

from importlib import metadata

import pytest

from driftwatch.testing import CHAT_TEMPLATE
from tools import chat_templates as templates

pytest.importorskip("trl")


def test_every_template_of_the_installed_trl_is_asked_as_it_is_trained_or_refused():
    found = templates.all_examined()
    assert len(found.rows) > 20
    for row in found.rows:
        assert row.refused or (row.proved and row.ends), row


def test_the_table_is_fresh():
    kept, cells = templates.table()
    if kept != metadata.version("trl"):
        pytest.skip(f"the table is of TRL {kept}")
    assert cells == [templates._cells(row) for row in templates.all_examined().rows]


def test_a_row_says_what_was_found():
    source = "{{ strftime_now('%Y') }}" + CHAT_TEMPLATE
    row = templates.examined("mine", source)
    assert templates._cells(row) == ["mine", "text", "–", "`<\\|im_end\\|>`", "frozen", "yes"]
    refused = templates.examined("mine", "{{ messages | length }}")
    assert templates._cells(refused)[:2] == ["mine", "refused"]
    assert "the answer is not in what it writes" in templates._cells(refused)[2]
