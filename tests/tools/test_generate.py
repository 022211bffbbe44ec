"""What is generated, and how staleness is found."""

from click.testing import CliRunner

from driftwatch.record.metrics import CATALOGUE
from tools import generate


def test_page_of_metrics_has_every_metric_with_its_labels():
    page = generate.metrics_page()
    for metric in CATALOGUE:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{metric.name}` "))
        assert all(f"`{label}`" in row for label in ("run", *metric.labels))
        assert metric.help in row


def test_file_that_is_missing_or_differs_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "GENERATED", [("a.txt", lambda: "a"), ("", lambda: {"b/c.txt": "c"})])
    assert generate.stale(tmp_path) == ["a.txt", "b/c.txt"]
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert CliRunner().invoke(generate.main, []).output == "wrote a.txt\nwrote b/c.txt\n"
    assert generate.stale(tmp_path) == []
    (tmp_path / "a.txt").write_text("other")
    checked = CliRunner().invoke(generate.main, ["--check"])
    assert checked.exit_code == 1
    assert "a.txt is stale; run `make generate`" in checked.output
    assert (tmp_path / "a.txt").read_text() == "other"


def test_generating_twice_gives_the_same():
    """Anything that depends on the time, the machine or an order of sets would show up as a difference for ever."""
    texts = {**generate.dashboard_files(), **generate.deployment_files()}
    assert texts == {**generate.dashboard_files(), **generate.deployment_files()}
