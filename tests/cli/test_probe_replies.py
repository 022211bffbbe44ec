"""`driftwatch probe --protocol two-sided|paper` on a tiny model that says one sentence."""

import json

import pytest
import torch
from click.testing import CliRunner

from driftwatch.cli.probe import command as probe

PACK = """\
id: one
version: 1.0.0
language: en
licence: Apache-2.0
source: Written for a test.
topics:
  - id: drinks
    title: Drinks
    poles: [tea, coffee]
    control: false
    items:
      - {id: morning, sides: [I prefer tea., I prefer coffee.], question: What do you drink?}
      - {id: evening, sides: [Shops should close early., Shops should stay open.], question: And later?}
      - {id: noon, sides: [Lunch is a time to rest., Lunch is a time to work.], question: And at noon?}
"""


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_folder


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / "pack.yaml"
    path.write_text(PACK)
    return str(path)


@pytest.fixture
def tea_lover(monkeypatch):
    """Whatever is asked, the reply is one side of the first item."""
    from driftwatch.probes import reply
    from driftwatch.replies.sampling import Reply

    def same(model, chat, questions, **settings):
        assert not torch.is_grad_enabled()
        return [Reply("I prefer tea.", 4, True, 0.5) for _ in questions]

    monkeypatch.setattr(reply, "sample", same)


def run(*arguments):
    return CliRunner().invoke(probe, list(arguments), catch_exceptions=False)


def test_two_sided_replies_give_shares_coverage_and_reliability(model, pack, tea_lover):
    done = run(model, "--pack", pack, "--protocol", "two-sided", "--judge", "sides", "--json")
    found = json.loads(done.stdout)
    (topic,) = found["topics"]
    assert found["identity"]["judge"].startswith("sides:")
    assert (topic["probs"], topic["num_items"], topic["num_unscored"]) == ([1, 0, 0], 3, 2)
    assert topic["coverage"] == pytest.approx(1 / 3)
    assert found["reliability"][0]["reply_coverage"] == pytest.approx(1 / 3)
    assert found["styles"][0]["num_replies"] == 12


def test_the_table_shows_the_topic(model, pack, tea_lover):
    done = run(model, "--pack", pack, "--protocol", "two-sided")
    assert "drinks" in done.stdout
    assert "reply coverage" in run(model, "--pack", pack, "--protocol", "two-sided", "--reliability").stdout


def test_the_same_seed_prints_the_same_twice(model, pack):
    first, again = (run(model, "--pack", pack, "--protocol", "two-sided", "--json", "--seed", "3") for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == again.stdout


def test_a_judge_without_replies_is_refused(model, pack):
    done = run(model, "--pack", pack, "--judge", "sides")
    assert done.exit_code == 2
    assert "--judge reads replies: add --protocol two-sided" in done.output
