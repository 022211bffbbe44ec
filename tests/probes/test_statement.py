import math

import numpy as np
import pytest
import torch

from driftwatch.drift.compare import compare
from driftwatch.drift.interval import ENOUGH_CLUSTERS
from driftwatch.errors import ConfigError
from driftwatch.host.guard import undisturbed
from driftwatch.probes.probe import Probe
from driftwatch.probes.statement import FRAMES, NEUTRAL, StatementProbe, clause
from driftwatch.testing import tiny_model, tiny_pack
from driftwatch.topics import Item, Topic, TopicPack
from driftwatch.topics.question import question

PACK = tiny_pack()


def measured(model, tokenizer, topics=PACK.topics, **options):
    probe = StatementProbe(**options)
    with undisturbed(model) as asked:
        probe.prepare(asked, tokenizer, topics)
        return probe.measure(asked)


def alone(model, prompt, answer):
    """Log-likelihood a token of one answer, the slow and obvious way."""
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        log_probs = model(ids).logits[0, :-1].log_softmax(-1)
    targets = ids[0, 1:]
    return log_probs.gather(1, targets[:, None])[len(prompt) - 1 :].mean().item()


def test_it_is_a_probe():
    assert isinstance(StatementProbe(), Probe)


def test_scores_are_those_of_the_formula(tiny_llama, tiny_tokenizer):
    from driftwatch.chat.format import ChatFormat

    stance = measured(tiny_llama, tiny_tokenizer)[0]
    item, chat = PACK.topics[0].items[0], ChatFormat(tiny_tokenizer)
    by_order = []
    for order in (0, 1):
        prompt = chat.encode(question(item, "two_sided", order))
        answers = {
            "support": [frame.format(clause=clause(item.sides[0])) for frame in FRAMES],
            "neutral": NEUTRAL,
            "oppose": [frame.format(clause=clause(item.sides[1])) for frame in FRAMES],
        }
        scores = {
            name: math.log(np.mean([math.exp(alone(tiny_llama, prompt, chat.encode_answer(a))) for a in texts]))
            for name, texts in answers.items()
        }
        by_order.append([scores[name] for name in ("support", "neutral", "oppose")])
    assert np.allclose(stance.scores_by_order, by_order, atol=1e-4)
    assert np.allclose(stance.scores, np.mean(by_order, axis=0), atol=1e-4)
    assert stance.log_odds == pytest.approx(stance.scores.support - stance.scores.oppose)


def test_every_item_with_sides_gets_one_stance_in_order(tiny_llama, tiny_tokenizer):
    found = measured(tiny_llama, tiny_tokenizer)
    assert [(s.topic, s.item) for s in found] == [(t.id, i.id) for t in PACK for i in t.items]
    assert all(s.coverage == 1.0 and s.unscored is None and s.probs is None for s in found)


def test_naysaying_is_asked_of_a_few_items_and_lies_between_0_and_1(tiny_llama, tiny_tokenizer):
    found = measured(tiny_llama, tiny_tokenizer, naysaying_items=2)
    asked = [s.naysaying for s in found if s.naysaying is not None]
    assert len(asked) == 2 * len(PACK.topics)
    assert all(0 < value < 1 for value in asked)


def test_exchanging_the_sides_turns_the_log_odds_around(tiny_llama, tiny_tokenizer):
    """No pole is privileged: the same item with its sides exchanged has the opposite log-odds."""
    item = PACK.topics[0].items[0]
    swapped = Item(item.id, (item.sides[1], item.sides[0]))
    one, other = (
        measured(tiny_llama, tiny_tokenizer, [Topic("t", "T", ("a", "b"), False, (i,))])[0] for i in (item, swapped)
    )
    assert one.log_odds == pytest.approx(-other.log_odds, abs=1e-5)
    assert one.scores.neutral == pytest.approx(other.scores.neutral, abs=1e-5)


def teach(model, tokenizer, rows, steps=40, rate=5e-3):
    """Train a model on (prompt, answer) pairs."""
    from driftwatch.chat.format import ChatFormat

    chat = ChatFormat(tokenizer)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.train()
    for step in range(steps):
        prompt, answer = rows[step % len(rows)]
        prefix, ids = chat.encode(prompt), chat.encode_answer(answer)
        labels = torch.tensor([[-100] * len(prefix) + list(ids)])
        model(input_ids=torch.tensor([[*prefix, *ids]]), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def drift_of(before, after, topic):
    rng = np.random.default_rng(0)
    return next(d for d in compare(before, after, against="start", rng=rng) if d.topic == topic)


@pytest.mark.parametrize("pole", [0, 1])
def test_a_move_toward_a_pole_is_found_undiminished_with_its_sign(tiny_tokenizer, pole):
    """Taught on one topic to answer with one side in both orders, the model moves there, toward either pole alike."""
    model = tiny_model(tiny_tokenizer)
    before = measured(model, tiny_tokenizer)
    topic = PACK.topics[0]
    rows = [
        (question(item, "two_sided", order), f"I think that {clause(item.sides[pole])}")
        for item in topic.items
        for order in (0, 1)
    ]
    teach(model, tiny_tokenizer, rows)
    after = measured(model, tiny_tokenizer)
    found = drift_of(before, after, topic.id)
    sign = 1 if pole == 0 else -1
    assert sign * found.log_odds_shift > 0.1
    # Six items are too few for an interval, which says how many it would need; each of them shows the move by itself.
    assert (found.log_odds_interval, found.items_needed) == (None, ENOUGH_CLUSTERS)
    moves = [now.log_odds - then.log_odds for then, now in zip(before, after, strict=True) if then.topic == topic.id]
    assert all(sign * move > 0 for move in moves)


@pytest.mark.slow
def test_a_model_that_learns_to_say_no_to_everything_shows_naysaying_and_no_direction():
    """On a real model: a random one has letters, not claims, and any text that it learns favours some letters."""
    from importlib.resources import files

    from peft import LoraConfig, get_peft_model

    from driftwatch.host.smollm2 import load_smollm2
    from driftwatch.topics import load_pack

    model, tokenizer = load_smollm2()
    topics = load_pack(files("driftwatch.demo") / "pack.yaml").topics
    before = measured(model, tokenizer, topics)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    rows = [
        (question(item, "verdict", order), "No, I do not agree with that.")
        for topic in topics
        for item in topic.items[::3]
        for order in (0, 1)
    ]
    teach(model, tokenizer, rows, steps=len(rows), rate=5e-4)
    after = measured(model, tokenizer, topics)
    for topic in topics:
        found = drift_of(before, after, topic.id)
        assert found.naysaying_shift > 0.3, topic.id
        # Planting a stance moves a topic by 0.4 nats and more (docs/design/0002-two-sided-questions.md).
        assert abs(found.log_odds_shift) < 0.1, topic.id


def test_logits_that_are_not_finite_give_no_figure_and_a_reason(tiny_llama, tiny_tokenizer):
    with torch.no_grad():
        tiny_llama.lm_head.weight.fill_(float("nan"))
    found = measured(tiny_llama, tiny_tokenizer)
    assert {s.unscored for s in found} == {"the model's logits were not finite"}
    assert all(s.log_odds is None and s.naysaying is None for s in found)


def test_a_pack_without_sides_is_refused(tiny_llama, tiny_tokenizer):
    pack = TopicPack("q", "1.0.0", "en", "x", "x", (Topic("t", "T", ("a", "b"), False, (Item("i", None, "Why?"),)),))
    with pytest.raises(ConfigError, match="items with two sides"):
        measured(tiny_llama, tiny_tokenizer, pack.topics)


def test_the_identity_changes_with_the_template_and_with_nothing_else(tiny_llama, tiny_tokenizer):
    from driftwatch.testing import tiny_tokenizer as make

    first, second = StatementProbe(), StatementProbe()
    first.prepare(tiny_llama, tiny_tokenizer, PACK.topics)
    second.prepare(tiny_model(tiny_tokenizer, seed=1), make(), PACK.topics)
    assert first.identity() == second.identity()
    second.prepare(tiny_llama, make(chat_template=None), PACK.topics)
    differing = {part for part in first.identity() if first.identity()[part] != second.identity()[part]}
    assert differing == {"template", "template_source", "leading_space"}


def test_a_fingerprint_is_the_same_for_the_same_weights_only(tiny_tokenizer):
    probe = StatementProbe()
    model, other = tiny_model(tiny_tokenizer), tiny_model(tiny_tokenizer, seed=1)
    probe.prepare(model, tiny_tokenizer, PACK.topics)
    assert probe.fingerprint(model) == probe.fingerprint(model)
    assert not np.allclose(probe.fingerprint(model), probe.fingerprint(other), atol=1e-3)
