"""Each trainer of the table, really run: with driftwatch and without, on from a checkpoint, and asked to stop."""

from operator import attrgetter

import pytest
from compat.examine import Found, examine
from compat.recipes import FOUR_BIT, LEFT, MATRIX, SMOKE, Recipe, scorer
from support.invariance import renamed, trl_settings, watcher

from driftwatch.errors import ConfigError
from driftwatch.host.trainers import TRAINERS
from driftwatch.testing import tiny_tokenizer

pytestmark = renamed


named = attrgetter("name")


def check(recipe, tmp_path, monkeypatch, keep):
    if not recipe.is_in_this_trl:
        pytest.skip(f"{recipe.trainer} is not in this TRL")
    found = examine(recipe, tmp_path, monkeypatch)
    keep(recipe, found)
    support = recipe.support
    assert found == Found(attaches=True, measures=True, identical=True, resumes=support.resumes, stops=support.stops), (
        "the table in driftwatch/host/trainers.py says otherwise"
    )


@pytest.mark.parametrize("recipe", SMOKE, ids=named)
def test_common_trainers(recipe, tmp_path, monkeypatch, keep):
    check(recipe, tmp_path, monkeypatch, keep)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", MATRIX, ids=named)
def test_matrix(recipe, tmp_path, monkeypatch, keep):
    check(recipe, tmp_path, monkeypatch, keep)


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", LEFT, ids=named)
def test_trainers_that_left_trl(recipe, tmp_path, monkeypatch, keep):
    check(recipe, tmp_path, monkeypatch, keep)


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", FOUR_BIT, ids=named)
def test_quantised_base(recipe, tmp_path, monkeypatch, keep):
    pytest.importorskip("bitsandbytes")
    check(recipe, tmp_path, monkeypatch, keep)


def test_reward_model_is_refused_before_its_training_begins(tmp_path, keep):
    import trl

    tokenizer, recipe = tiny_tokenizer(), Recipe("RewardTrainer")
    trainer = trl.RewardTrainer(
        model=scorer(tokenizer),
        args=trl.RewardConfig(**trl_settings(tmp_path)),
        processing_class=tokenizer,
        train_dataset=recipe.preferences(),
        callbacks=[watcher(tmp_path)],
    )
    with pytest.raises(ConfigError, match="LlamaForSequenceClassification has no language head") as refused:
        trainer.train()
    assert trainer.state.global_step == 0
    keep(recipe, {"attaches": False, "refused": str(refused.value)})


def test_every_row_of_the_table_is_run_somewhere():
    run = {recipe.trainer for recipe in (*SMOKE, *MATRIX, *LEFT)} | {"RewardTrainer"}
    assert run == {row.trainer for row in TRAINERS}
