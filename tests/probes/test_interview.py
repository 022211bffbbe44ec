import pytest

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judgement
from driftwatch.judges.judging import SUPPORT
from driftwatch.probes.interview import interview, reply_probe
from driftwatch.probes.reply import ReplyProbe
from driftwatch.replies.decoding import Decoding
from driftwatch.testing import tiny_pack


class Sunny:
    id = "sunny"

    def read(self, asked):
        return [Judgement(probs=SUPPORT) for _ in asked]


SHORT = Decoding(max_new_tokens=4)


def test_an_interview_sums_up_what_was_read(tiny_llama, tiny_tokenizer):
    pack = tiny_pack()
    found = interview(tiny_llama, tiny_tokenizer, pack.topics, ReplyProbe(Sunny(), replies=1, decoding=SHORT))
    assert [(t.topic, t.probs, t.coverage) for t in found.topics] == [(t.id, SUPPORT, 1.0) for t in pack]
    assert [style.num_replies for style in found.styles] == [12, 12, 12]
    assert [r.reply_coverage for r in found.reliability] == [1.0, 1.0, 1.0]
    assert [r.reply_consistency for r in found.reliability] == [1.0, 1.0, 1.0]
    assert len(found.answers) == 36
    assert found.identity["judge"] == "sunny"


def test_the_same_seed_gives_the_same_interview(tiny_llama, tiny_tokenizer):
    first, second = (
        interview(tiny_llama, tiny_tokenizer, tiny_pack().topics, ReplyProbe(Sunny(), replies=1, decoding=SHORT))
        for _ in range(2)
    )
    assert first == second


def test_protocols_bring_their_judge():
    assert isinstance(reply_probe("two-sided"), ReplyProbe)
    with pytest.raises(JudgeError, match='cannot load "/nowhere"'):
        reply_probe("paper", "nli:/nowhere")
