import math
from types import SimpleNamespace

import pytest
import torch

from driftwatch.errors import ConfigError, JudgeError, ProbeError
from driftwatch.host.guard import undisturbed
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import NEUTRAL, OPPOSE, SUPPORT
from driftwatch.judges.sides import Sides
from driftwatch.probes.interview import styles
from driftwatch.probes.reply import PAPER, Answer, ReplyProbe, _in_large_batches, stances
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import Reply
from driftwatch.stance import Probs
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.topics.topic import Item, Topic

ITEM = Item("tea", ("I prefer tea", "I prefer coffee"), "Tea or coffee?")
REFUSED, OFF_TOPIC, UNREAD = Judgement(refusal=True), Judgement(off_topic=True), Judgement(unread="unclear")


def answer(reading, order=0, *, text="I prefer tea.", framing="two_sided", tokens=4, finished=True, entropy=1.0):
    asked = Asked("drinks", ("tea", "coffee"), ITEM, framing, order, "?", text)
    return Answer(asked, Reply(text, tokens, finished, entropy), reading)


class CountingJudge:
    """Reads everything as support, and remembers what it was shown."""

    id = "counting"

    def __init__(self, reading=None):
        self.shown = []
        self.reading = reading or Judgement(probs=SUPPORT)

    def read(self, asked):
        self.shown += asked
        return [self.reading] * len(asked)


def measure(probe, model, tokenizer, topics=None):
    with undisturbed(model) as asked:
        probe.prepare(asked, tokenizer, topics or tiny_pack().topics)
        return probe.measure(asked)


def test_every_item_is_asked_in_both_orders_as_often_as_wanted(tiny_llama, tiny_tokenizer):
    judge = CountingJudge()
    found = measure(ReplyProbe(judge, replies=3), tiny_llama, tiny_tokenizer)
    items = [item.id for topic in tiny_pack() for item in topic.items]
    assert [s.item for s in found] == items
    assert [(a.item.id, a.order) for a in judge.shown] == [(i, o) for i in items for o in (0, 1) for _ in range(3)]
    assert {a.framing for a in judge.shown} == {"two_sided"}


def test_the_papers_protocol_asks_open_questions_five_times(tiny_llama, tiny_tokenizer, monkeypatch):
    judge = CountingJudge(Judgement(probs=Probs(0.5, 0.3, 0.2)))
    topic = Topic("drinks", "Drinks", ("tea", "coffee"), False, (ITEM, Item("closed", ("A", "B"))))
    monkeypatch.setattr("driftwatch.probes.reply.PAPER", Decoding(max_new_tokens=4))
    probe = ReplyProbe.paper(judge)
    found = measure(probe, tiny_llama, tiny_tokenizer, [topic])
    assert (PAPER.temperature, PAPER.top_p, PAPER.max_new_tokens) == (0.7, 1.0, 256)
    assert [a.question for a in judge.shown] == ["Tea or coffee?"] * 5
    assert [s.item for s in found] == ["tea"]  # an item without a question cannot be asked so
    assert found[0].probs == pytest.approx((0.5, 0.3, 0.2))
    assert found[0].by_order == (None, None)


def test_two_looks_at_the_same_weights_are_equal_and_other_numbers_are_the_floor(tiny_llama, tiny_tokenizer):
    judge = CountingJudge()
    probe = ReplyProbe(judge, replies=1)
    with undisturbed(tiny_llama) as asked:
        probe.prepare(asked, tiny_tokenizer, tiny_pack().topics)
        first, again, other = (probe.ask(asked, again=flag) for flag in (False, False, True))
    assert first == again
    assert [a.reply.text for a in first] != [a.reply.text for a in other]


def test_the_probability_of_an_item_is_the_mean_of_both_orders():
    second = [answer(Judgement(probs=OPPOSE), 1), answer(Judgement(probs=NEUTRAL), 1)]
    group = [answer(Judgement(probs=SUPPORT))] * 3 + second
    (stance,) = stances(group)
    assert stance.by_order == (Probs(1, 0, 0), Probs(0, 0.5, 0.5))
    assert stance.probs == Probs(0.5, 0.25, 0.25)
    assert (stance.refusal, stance.unread, stance.coverage, stance.unscored) == (0, 0, 1, None)


def test_refused_and_unread_replies_are_never_neutral():
    group = [answer(Judgement(probs=SUPPORT)), answer(REFUSED), answer(UNREAD, 1), answer(OFF_TOPIC, 1)]
    group.append(answer(Judgement(probs=SUPPORT), 1))
    (stance,) = stances(group)
    assert stance.probs == Probs(1, 0, 0)
    assert (stance.refusal, stance.unread, stance.coverage) == (0.2, 0.4, 0.4)


def test_one_order_alone_is_no_stance():
    (stance,) = stances([answer(Judgement(probs=SUPPORT)), answer(UNREAD, 1)])
    assert stance.probs is None
    assert stance.unscored == "no reply could be read in one order of the sides"


def test_an_item_of_which_nothing_is_read_says_so():
    (stance,) = stances([answer(REFUSED), answer(UNREAD, 1)])
    assert stance.unscored == "none of 2 replies took a stance that could be read (1 refused)"


def test_a_judge_that_fails_is_an_error_of_the_look_and_not_a_stance(tiny_llama, tiny_tokenizer):
    class Failing:
        id = "failing"

        def read(self, asked):
            raise JudgeError("gone")

    with pytest.raises(ProbeError, match="could not be read: gone"):
        measure(ReplyProbe(Failing(), replies=1), tiny_llama, tiny_tokenizer)


def test_a_judge_that_changes_between_looks_is_refused(tiny_llama, tiny_tokenizer):
    judge = CountingJudge()
    probe = ReplyProbe(judge, replies=1)
    measure(probe, tiny_llama, tiny_tokenizer)
    judge.id = "another"
    with undisturbed(tiny_llama) as asked, pytest.raises(ProbeError, match=r"the judge changed.*counting.*another"):
        probe.measure(asked)


def test_the_identity_names_judge_sampling_and_wording(tiny_llama, tiny_tokenizer):
    probe = ReplyProbe(Sides(), replies=2, seed=3)
    measure(probe, tiny_llama, tiny_tokenizer)
    identity = probe.identity()
    assert identity["judge"] == Sides.id
    assert identity["sampling"] == "two_sided replies=2 temperature=0.7 top_p=1 max_new_tokens=24 seed=3"
    assert {"template", "tokenizer", "wording"} <= set(identity)


def test_an_encoder_decoder_is_refused(tiny_llama, tiny_tokenizer):
    tiny_llama.config.is_encoder_decoder = True
    with pytest.raises(ConfigError, match="has an encoder and a decoder"):
        measure(ReplyProbe(), tiny_llama, tiny_tokenizer)


def test_a_pack_that_cannot_be_asked_so_is_refused(tiny_llama, tiny_tokenizer):
    closed = Topic("drinks", "Drinks", ("tea", "coffee"), False, (Item("closed", ("A", "B")),))
    with pytest.raises(ConfigError, match="needs items with an open question"):
        measure(ReplyProbe.paper(CountingJudge()), tiny_llama, tiny_tokenizer, [closed])


@pytest.mark.parametrize(("setting", "least"), [("replies", 1), ("seed", 0)])
def test_numbers_that_cannot_work_are_refused(setting, least):
    with pytest.raises(ConfigError, match=f"of at least {least} as .{setting}., found the number {least - 1}"):
        ReplyProbe(**{setting: least - 1})


def test_training_is_not_disturbed_by_replies(tiny_tokenizer):
    def train(probe):
        model = tiny_model(tiny_tokenizer, dropout=0.1)
        torch.manual_seed(0)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        ids = torch.arange(40).reshape(2, 20)
        for _ in range(3):
            model.train()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if probe is not None:
                measure(probe, model, tiny_tokenizer)
        return model.state_dict()

    plain, watched = train(None), train(ReplyProbe(replies=1, decoding=Decoding(max_new_tokens=4)))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_manners_are_counted_apart():
    group = [
        answer(Judgement(probs=SUPPORT), tokens=4, entropy=1.0),
        answer(REFUSED, tokens=6, entropy=2.0),
        answer(OFF_TOPIC, tokens=10, finished=False, entropy=3.0),
        answer(UNREAD, text="Perhaps it depends.", tokens=4, entropy=2.0),
    ]
    (style,) = styles(group)
    assert (style.topic, style.num_replies) == ("drinks", 4)
    assert (style.refusal, style.off_topic, style.unread, style.hedging, style.cut) == (0.25, 0.25, 0.25, 0.25, 0.25)
    assert (style.num_tokens, style.entropy) == (6.0, 2.0)


def test_preferring_what_stands_first_is_one_and_a_stance_is_zero():
    first = [answer(Judgement(probs=SUPPORT)), answer(Judgement(probs=OPPOSE), 1)]
    last = [answer(Judgement(probs=OPPOSE)), answer(Judgement(probs=SUPPORT), 1)]
    loyal = [answer(Judgement(probs=SUPPORT)), answer(Judgement(probs=SUPPORT), 1)]
    assert [styles(group)[0].order_preference for group in (first, last, loyal)] == [1, -1, 0]


def test_order_preference_needs_sides_taken_in_both_orders():
    one_order = [answer(Judgement(probs=SUPPORT)), answer(Judgement(probs=NEUTRAL), 1)]
    open_question = [answer(Judgement(probs=SUPPORT), framing="open")]
    assert styles(one_order)[0].order_preference is None
    assert styles(open_question)[0].order_preference is None


def test_replies_come_with_length_and_entropy(tiny_llama, tiny_tokenizer):
    probe = ReplyProbe(CountingJudge(), replies=1, decoding=Decoding(max_new_tokens=5))
    with undisturbed(tiny_llama) as asked:
        probe.prepare(asked, tiny_tokenizer, tiny_pack().topics)
        replies = [a.reply for a in probe.ask(asked)]
    assert all(0 <= reply.num_tokens <= 5 for reply in replies)
    assert all(0 < reply.entropy <= math.log(len(tiny_tokenizer)) for reply in replies)


@pytest.mark.parametrize(
    ("device", "batch_size", "num_replies", "expected"),
    [("cpu", 32, 1000, 32), ("cuda", 32, 1000, 256), ("cuda", 32, 72, 72), ("cuda", 32, 8, 32), ("cuda", 8, 1000, 8)],
)
def test_on_a_gpu_that_trains_nothing_more_is_decoded_at_once(device, batch_size, num_replies, expected):
    model = SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device(device))]))
    assert _in_large_batches(Decoding(batch_size=batch_size), model, num_replies).batch_size == expected
