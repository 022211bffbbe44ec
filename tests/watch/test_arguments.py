"""A slip in the arguments is met with a sentence that says what to write."""

import pytest

from driftwatch import Confirmation, DriftCallback
from driftwatch.errors import ConfigError
from driftwatch.testing import tiny_pack


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"confirm": "sides"}, r"found 'sides'. Write confirm=Confirmation\(judge=\"sides\"\)"),
        ({"confirm": True}, "confirm takes Confirmation"),
        ({"confirm": Confirmation}, "confirm takes Confirmation"),
        ({"schedule": 100}, r"found 100. Write schedule=Schedule\(every_steps=100\)"),
        ({"exporters": "prometheus"}, r"Write exporters=\['prometheus'\]"),
        ({"exporters": None}, r"Write exporters=\[\]"),
        ({"probes": "statement"}, r"Write probes=\['statement'\]"),
        ({"actions": "save"}, r"Write actions=\['save'\]"),
        ({"alerting_baseline": "x"}, r'"sft" or "start", or None to choose; found \'x\''),
    ],
)
def test_an_argument_of_another_kind_is_refused(slip, sentence, tmp_path):
    with pytest.raises(ConfigError, match=sentence):
        DriftCallback(tiny_pack(), output_dir=tmp_path, **slip)


@pytest.mark.parametrize("slip", [None, "grpo", DriftCallback])
def test_an_engine_of_no_trainer_is_refused(slip, tmp_path):
    with pytest.raises(
        ConfigError, match=r"use_engine takes the trainer .* Write callback.use_engine\(trainer\) after"
    ):
        DriftCallback(tiny_pack(), output_dir=tmp_path, exporters=()).use_engine(slip)


def test_what_the_signature_says_is_taken(tmp_path):
    DriftCallback(tiny_pack(), output_dir=tmp_path, confirm=Confirmation(), exporters=(), alerting_baseline="start")
