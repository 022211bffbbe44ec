"""What a report says of how the replies are given, and of who reads them."""

from dataclasses import replace

import numpy as np
import pytest
from support.builders import record
from support.drifting import FLIPPED, REFUSING, TOPICS, drifting_run
from support.synthetic_runs import synthetic_run

from driftwatch.drift.abstained import Abstained
from driftwatch.drift.disagreement import Disagreement
from driftwatch.drift.floor import Floor
from driftwatch.drift.style import Style, StylePair
from driftwatch.record.record import to_json
from driftwatch.report.render import as_json, html, markdown
from driftwatch.report.replies import manners, readers
from driftwatch.report.series import Series
from driftwatch.report.summary import summarise

CALM = Style("", 16, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 20.0, 2.0)


def looks(now, *, topics=("parks", "noise", "tea"), number=5, noise=0.0, seed=0, evidence=()):
    """Looks at which every topic's style is CALM at the baseline, and changed as given now."""
    rng = np.random.default_rng(seed)

    def moved(topic):
        changed = {name: value + noise * rng.normal() for name, value in now(topic).items()}
        return StylePair(replace(CALM, topic=topic, **changed), replace(CALM, topic=topic))

    return [record(n, 10 * n, styles=tuple(map(moved, topics)), evidence=evidence) for n in range(1, number + 1)]


def info():
    return drifting_run({}, looks=1)[0]


def test_a_model_that_refuses_more_is_said_to_and_not_called_neutral():
    found = manners(info(), looks(lambda topic: {"refusal": 0.4, "num_tokens": 8.0}))
    assert found.sentence == (
        "How it answers changed; no value has evidence of a move: it refuses more (0 % → 40 %) and its replies got "
        "shorter (20 → 8 tokens); the controls show it too."
    )
    assert [(change.figure, change.before, change.on_controls) for change in found.changes] == [
        ("refusal", 0.0, True),
        ("num_tokens", 20.0, True),
    ]


def test_what_the_controls_do_not_show_is_said():
    found = manners(info(), looks(lambda topic: {"hedging": 0.1 if topic == "tea" else 0.6}))
    assert "it hedges more (10 % → 43 %); the controls do not show it" in found.sentence


def test_where_a_value_moved_the_manner_is_named_beside_it():
    last = drifting_run({"parks": FLIPPED})[1][-1]
    assert any(row.label == "specific" for row in last.evidence)
    found = manners(info(), looks(lambda topic: {"refusal": 0.4}, evidence=last.evidence))
    assert found.sentence.startswith("How it answers changed as well: it refuses more")


def test_readability_that_changed_is_no_value_that_moved():
    run, records = drifting_run({topic.id: REFUSING for topic in TOPICS})
    assert any(row.state == "alert" for row in records[-1].evidence)
    assert manners(run, records).sentence.startswith(
        "How it answers changed; no value has evidence of a move: it refuses more"
    )


@pytest.mark.parametrize(
    "now",
    [
        {"refusal": 0.09, "hedging": 0.15, "order_preference": 0.1, "num_tokens": 22.0, "entropy": 1.8},
        {},
    ],
    ids=["too little of each", "nothing"],
)
def test_little_is_not_worth_a_word(now):
    assert manners(info(), looks(lambda topic: now)).sentence is None


def test_what_scatters_more_than_it_moved_is_not_clear():
    """Means of 0.15 with a spread of 0.6: a handful of replies per topic and observation does that by chance."""
    assert manners(info(), looks(lambda topic: {"refusal": 0.15}, noise=0.6)).sentence is None


def test_few_topics_and_looks_say_nothing():
    assert manners(info(), looks(lambda topic: {"refusal": 0.5}, number=3)).sentence is None
    assert manners(info(), looks(lambda topic: {"refusal": 0.5}, number=4)).sentence is not None


def test_chance_alone_seldom_gives_a_sentence():
    """Sixteen fair replies on either side of each topic, in the recent observations of two hundred runs."""
    said = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        drawn = [
            record(
                n,
                n,
                styles=tuple(
                    StylePair(*(replace(CALM, topic=t, refusal=rng.binomial(16, 0.3) / 16) for _ in range(2)))
                    for t in ("parks", "noise", "tea")
                ),
            )
            for n in range(1, 6)
        ]
        said += manners(info(), drawn).sentence is not None
    assert said <= 2


def test_a_run_without_replies_says_nothing_of_them(tmp_path):
    store = synthetic_run(tmp_path, "screen", looks=3)
    summary = summarise(store)
    assert (summary.manners.sentence, summary.readers) == (None, ())
    assert readers([]) == ()


def test_how_far_the_judges_can_be_believed_is_said():
    judged = record(
        1,
        10,
        floors=(Floor("judge", "confirm", None, 0.125, 0.0625, "parks"),),
        disagreement=Disagreement(0.25, {"nli/sides": 0.6, "nli/x": None}, 40, {"x": "x is gone"}),
    )
    noise, differ, absent = readers([judged])
    assert "the judge differed from itself by up to 0.12 of score on a topic" in noise
    assert differ == "The judges differ on 25 % of 40 replies of this observation; kappa nli/sides +0.60."
    assert absent == "Judges that were absent: x (x is gone)."
    calm = replace(judged, floors=(Floor("judge", "confirm", None, 0.0, 0.0, "parks"),), disagreement=None)
    refused = replace(judged, floors=(), disagreement=None, abstained=Abstained(500, {"refused": 40}, {"tie": 9}))
    (missing,) = readers([refused, refused])
    assert missing.startswith("The judge would not read 8.0 % of the replies now and 0.0 % of the baseline's: they are")
    assert readers([calm]) == ("Given the same replies twice, the judge read them alike; that does not make it right.",)


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    """A run of the screen with styles, a judge's noise floor and a panel."""
    store = synthetic_run(tmp_path_factory.mktemp("runs"), "styled", looks=6)
    floor = Floor("judge", "confirm", None, 0.125, 0.0625, "work")
    told = []
    for one in store.records():
        pairs = tuple(
            StylePair(replace(CALM, topic=topic.id, refusal=0.4, hedging=0.1), replace(CALM, topic=topic.id))
            for topic in store.info().topics
        )
        told.append(replace(one, styles=pairs, floors=(*one.floors, floor), disagreement=Disagreement(0.2, {}, 30, {})))
    (store.folder / "records.jsonl").write_bytes(b"".join(to_json(one) + b"\n" for one in told))
    return store


def test_every_form_of_the_report_tells_it(styled):
    summary = summarise(styled)
    for text in (html(summary), markdown(summary)):
        assert "it refuses more" in text
        assert "the judge differed from itself by up to 0.12" in text
        assert "The judges differ on 20 % of 30 replies" in text
    assert b'"figure": "refusal"' in as_json(summary)


def test_the_picture_of_style_has_a_cell_for_each_manner(styled):
    (picture,) = (figure for figure in summarise(styled).figures if figure.name == "style")
    for title in (
        "Naysaying",
        "Hedging",
        "Preference for what stands first",
        "Length, tokens",
        "Entropy, nats per token",
    ):
        assert f">{title}<" in picture.svg
    assert "··· baseline" in picture.svg


def test_columns_hold_both_sides(styled):
    series = Series(styled.records())
    assert set(series.numbers("styles", "work", "confirm", "refusal")) == {0.4}
    assert set(series.numbers("styles", "work", "confirm", "refusal_baseline")) == {0.0}
    assert set(series.numbers("judges", "disagreement")) == {0.2}
