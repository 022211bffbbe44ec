import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import record, run_info

from driftwatch.errors import StoreError
from driftwatch.record.record import SCHEMA, record_from_json, run_info_from_json, to_json

GOLDEN = Path(__file__).parent / "golden"


def test_a_record_survives_json():
    written = record(look=3, step=40)
    assert record_from_json(to_json(written)) == written


def test_a_run_description_survives_json():
    assert run_info_from_json(to_json(run_info())) == run_info()


def test_a_figure_that_is_not_finite_becomes_none():
    written = record(drifts=(), stances=(), notes=())
    text = to_json({"x": math.nan, "schema": written.schema})
    assert b"null" in text


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_every_older_schema_is_read(schema):
    found = record_from_json((GOLDEN / f"record-{schema}.json").read_bytes())
    assert found.look == 3
    assert found.drifts[0].topic == "parks"
    info = run_info_from_json((GOLDEN / f"run-{schema}.json").read_bytes())
    assert info.topic("tea").control


def test_a_newer_schema_is_refused_with_what_to_do():
    text = to_json(record()).replace(b'"schema":2', b'"schema":99')
    with pytest.raises(StoreError, match=r"schema 99, and this driftwatch reads up to 2.*newer"):
        record_from_json(text)


@given(st.binary(max_size=60))
def test_no_bytes_at_all_crash_the_reader(line):
    with pytest.raises(StoreError):
        record_from_json(line)


def test_drift_and_stance_are_found_by_what_names_them():
    found = record()
    assert found.drift("parks", "statement", "start").score_shift == -0.2
    assert found.drift("parks", "statement", "sft") is None
    assert found.stance("parks", "statement").num_items == 6
    assert found.stance("tea", "statement") is None
