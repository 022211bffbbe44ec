"""The baseline's replies of before training: what they will take is said before they are decoded."""

import logging

import numpy as np
import pytest

from driftwatch.pool import PILOT_REPLIES, decoded_before
from driftwatch.probes.sampling import Reply
from driftwatch.testing import tiny_pack


@pytest.fixture
def asked(caplog):
    """Decodes by counting; gives the pool, the number of draws of each call, and what was said before the last one."""

    def decode(looks, normal):
        calls, said = [], []

        def ask(draws):
            calls.append(len(draws))
            said.append(caplog.text)
            return [Reply(f"{d.item} {d.order}", 1, True, 0.5) for d in draws]

        with caplog.at_level(logging.INFO):
            rng = np.random.default_rng(0)
            pool = decoded_before(tiny_pack().topics, looks, normal=normal, watched=normal, rng=rng, ask=ask)
        return pool, calls, said

    return decode


def test_many_replies_are_foretold_by_a_few_before_they_are_decoded(asked):
    pool, calls, said = asked(looks=10, normal=20)
    assert calls == [PILOT_REPLIES, 10 * 20 * len(tiny_pack().topics)]
    assert said[0] == ""
    assert f"decoding its {calls[1]} replies now, for 10 looks, which takes about 0 s" in said[1]
    assert len(list(pool)) == calls[1], "those that were timed are no replies of the run"


def test_few_replies_are_decoded_at_once(asked):
    _, calls, said = asked(looks=2, normal=4)
    assert calls == [2 * 4 * len(tiny_pack().topics)]
    assert "for 2 looks" in said[0]
    assert "takes about" not in said[0]
