import json
import math
from pathlib import Path

import numpy as np
import pytest

from driftwatch.drift import evidence
from driftwatch.drift.outcome import NOT_DRAWN, Draws

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "evidence_golden.json").read_text())


def codes(look, side):
    """Outcome strings of one look as an array (runs, topics, draws), padded."""
    width = max(len(row) for run in look[side] for row in run)
    return np.array(
        [[[*map(int, row), *[NOT_DRAWN] * (width - len(row))] for row in run] for run in look[side]]
    )


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"delta={case['delta']}")
def test_evidence_equals_that_of_an_independent_implementation_on_the_same_draws(case):
    settings = evidence.Settings(("a", "b"), ("c", "d"), len(case["looks"]), deltas=(case["delta"],))
    state = evidence.begin(settings, batch=(2,))
    for look in case["looks"]:
        state = evidence.advance(state, codes(look, "now"), codes(look, "baseline"))
        found = state.figures
        pairs = [(found.plain_TDK[:, :, 0], "plain"), (found.value_TDK[:, :, 0], "value"), (found.lost_T, "lost")]
        if case["delta"] == 0:  # the other implementation shrinks the bets against controls with delta, ours does not
            pairs.append((found.apart_VCKG, "apart"))
        for ours, name in pairs:
            np.testing.assert_allclose(ours / math.log(10), look[name], atol=1e-9, err_msg=name)
