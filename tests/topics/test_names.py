"""Names in every script: short, and never the same for two texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch import load_pack
from driftwatch.store.run_store import valid_run_name
from driftwatch.topics.lint.check import check
from driftwatch.topics.loader import read_pack
from driftwatch.topics.names import normal, run_name, slugs
from driftwatch.topics.parse import TOPIC_ID


def test_plain_titles_keep_their_plain_names():
    assert slugs(["Gender & LGBTQ+ Identity", "Capital punishment"]) == {
        "Gender & LGBTQ+ Identity": "gender_lgbtq_identity",
        "Capital punishment": "capital_punishment",
    }


@pytest.mark.parametrize(
    "titles", [("公园", "茶"), ("Парки", "Чай"), ("AI 安全", "AI 伦理"), ("C++", "C#"), ("été", "ete")]
)
def test_topics_of_a_table_never_fall_together(tmp_path, titles):
    rows = "".join(f"{title},What about {number}?\n" for number, title in enumerate(titles))
    (tmp_path / "t.csv").write_text(f"topic,question\n{rows}", encoding="utf-8")
    topics = load_pack(tmp_path / "t.csv").topics
    assert [topic.title for topic in topics] == list(titles)
    assert len({topic.id for topic in topics}) == len(titles)


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8))
def test_different_titles_have_different_names(titles):
    named = slugs(titles)
    assert len(set(named.values())) == len({normal(title) for title in titles})
    assert all(len(name) <= 48 for name in named.values())


def test_composed_and_decomposed_are_one_title(tmp_path):
    rows = f"Café,One?\n{unicodedata.normalize('NFD', 'Café')},Two?\n"
    (tmp_path / "t.csv").write_text(f"topic,question\n{rows}", encoding="utf-8")
    (topic,) = load_pack(tmp_path / "t.csv").topics
    assert (topic.id, len(topic.items)) == ("cafe", 2)


def test_ids_of_topics_are_valid_whatever_the_title(tmp_path):
    rows = "".join(f"{title},What?\n" for title in ("公园", "1st", "_", "ŽĆ", "🙂"))
    (tmp_path / "t.csv").write_text(f"topic,question\n{rows}", encoding="utf-8")
    ids = [topic.id for topic in load_pack(tmp_path / "t.csv").topics]
    assert len(set(ids)) == 5
    assert all(TOPIC_ID.fullmatch(topic) for topic in ids)


@given(st.text(min_size=1))
def test_any_name_of_a_run_is_a_valid_one(text):
    assert valid_run_name(run_name(text)) == run_name(text)


def test_names_of_runs_in_other_scripts_can_be_told_apart():
    names = [run_name(name) for name in ("实验一", "实验二", "Эксперимент 1", "模型-1e-5", "模型-3e-5")]
    assert len(set(names)) == 5
    assert names[3].startswith("1e-5-")
    assert run_name("dpo / first try") == "dpo---first-try"


def findings(tmp_path, first, second):
    head = (
        "id: x\nversion: 1.0.0\nlanguage: und\nlicence: a\nsource: s\ntopics:\n- id: t\n  title: T\n  poles: [a, b]\n"
    )
    (tmp_path / "p.yaml").write_text(
        f"{head}  items:\n  - id: i1\n    sides:\n    - {first}\n    - {second}\n", encoding="utf-8"
    )
    codes = ("schema", "invisible", "duplicate", "encoding")
    return [found for found in check(read_pack(tmp_path / "p.yaml")) if found.code in codes]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("मैं पीना चाहता हूँ", "मैं पाना चाहता हूँ"),  # drink, get: they differ in a vowel sign
        ("ฉันชอบเสือ", "ฉันชอบเสื่อ"),  # tiger, mat: they differ in a tone mark
        ("می‌خواهم درخت‌های بیشتری در خیابان باشد", "خانه‌های تازه در خیابان بهتر است"),  # joiners of Persian
        ("I like the 👩‍🚀 on the flag", "I would rather have a tree on it"),
    ],
)
def test_orthography_of_other_scripts_is_no_fault(tmp_path, first, second):
    assert findings(tmp_path, first, second) == []


def test_the_same_claim_in_two_normal_forms_is_one(tmp_path):
    same = "Le café doit être fermé après minuit"
    assert "the same twice" in findings(tmp_path, same, unicodedata.normalize("NFD", same))[0].message


def test_a_letter_of_another_script_in_a_word_is_an_error(tmp_path):
    (found,) = findings(tmp_path, "Our street needs more parks", "Our street needs more p\u0430rks")
    assert (found.severity, found.code) == ("error", "encoding")
    assert "two scripts" in found.message


def test_a_joiner_that_joins_nothing_is_told(tmp_path):
    assert [found.code for found in findings(tmp_path, "Our street needs\u200d trees", "It needs houses")] == [
        "invisible"
    ]
