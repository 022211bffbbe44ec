"""The page of trainers says what was run and nothing else."""

import json

import pytest

from tools import trainers_page as compat

VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0"}
OLD = {**VERSIONS, "python": "3.10.13", "trl": "1.12.0"}
YES = {"attaches": True, "measures": True, "identical": True, "resumes": True, "stops": True}


@pytest.fixture
def kept(tmp_path):
    """Writes results as the suite does; gives the page."""

    def kept(**environments):
        for name, rows in environments.items():
            plain = {"settings": "", "family": compat.PLAIN_FAMILY, "weights": compat.FULL}
            lines = [json.dumps({**plain, **row}) for row in rows]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        return compat.trainers_page(tmp_path)

    return kept


def row_of(page, trainer):
    return next((line for line in page.splitlines() if line.startswith(f"| `{trainer}`")), None)


def test_what_was_not_run_has_no_row(kept):
    page = kept(newest=[{"trainer": "SFTTrainer", **YES, "versions": VERSIONS}])
    assert "yes | yes | yes | yes | yes | 1.16.0" in row_of(page, "SFTTrainer")
    assert row_of(page, "DPOTrainer") is None
    assert "oldest supported" not in page


def test_the_newest_environment_that_ran_a_trainer_is_shown_with_its_version(kept):
    found = {"trainer": "PPOTrainer", **YES, "resumes": False, "stops": False, "versions": OLD}
    sft = {"trainer": "SFTTrainer", **YES}
    page = kept(newest=[{**sft, "versions": VERSIONS}], ppo=[found], oldest=[{**sft, "versions": OLD}])
    assert "yes | yes | yes | no | ignored, reported | 1.12.0" in row_of(page, "PPOTrainer")
    assert "1.16.0" in row_of(page, "SFTTrainer")
    assert "| oldest supported (`make oldest`) | 3.10.13 | 2.13.0 | 5.23.0 | 1.12.0 | 1 |" in page


def test_a_refused_trainer_says_so_and_claims_nothing_else(kept):
    page = kept(newest=[{"trainer": "RewardTrainer", "attaches": False, "refused": "no head", "versions": VERSIONS}])
    assert "| refused | – | – | – | – |" in row_of(page, "RewardTrainer")


def test_suites_stand_in_the_order_of_pythons_with_what_failed(kept, tmp_path):
    for name, python, failed in (("a", "3.13.0", 1), ("b", "3.9.2", 0)):
        suite = {"passed": 9, "failed": failed, "error": 1, "skipped": 2, "versions": {"python": python}}
        (tmp_path / f"suite-{name}.json").write_text(json.dumps(suite))
    page = kept()
    assert page.index("| 3.9.2 | 9 | 1 | 2 |") < page.index("| 3.13.0 | 9 | 2 | 2 |")


def test_the_committed_results_name_only_trainers_of_the_table():
    assert {row.trainer for rows in compat.read_results().values() for row in rows} <= {
        support.trainer for support in compat.TRAINERS
    }


def test_the_readme_names_the_newest_versions_that_were_run():
    rows = [json.loads(line) for line in (compat.RESULTS / "newest.jsonl").read_text().splitlines()]
    versions = rows[0]["versions"]
    assert all(row["versions"] == versions for row in rows)
    readme = " ".join((compat.RESULTS.parents[1] / "README.md").read_text(encoding="utf-8").split())
    named = f"torch {versions['torch']}, transformers {versions['transformers']}, TRL {versions['trl']}"
    assert f"{named}, accelerate {versions['accelerate']} and peft {versions['peft']}" in readme
