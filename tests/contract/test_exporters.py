"""What every installed exporter must do."""

import pytest
from builders import record, run_info

from driftwatch import plugins
from driftwatch.exporters.exporter import Exporter
from driftwatch.store import RunStore


@pytest.fixture(params=plugins.names("exporters"))
def exporter(request, monkeypatch):
    monkeypatch.setenv("DRIFTWATCH_PORT", "0")
    return plugins.made("exporters", request.param)


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "r1")
    made.create(run_info())
    return made


def test_it_keeps_the_protocol(exporter):
    assert isinstance(exporter, Exporter)
    assert exporter.name in plugins.names("exporters")


def test_it_lives_through_a_run_and_can_begin_another(exporter, store):
    for _ in range(2):
        exporter.open(run_info(), store)
        exporter.beat(1_700_000_000.0)
        exporter.export(record(look=1, step=4))
        exporter.close("finished")


def test_it_closes_without_having_seen_a_look(exporter, store):
    exporter.open(run_info(), store)
    exporter.close("failed")
