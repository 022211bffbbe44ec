"""The doctor on healthy and sick set-ups; each problem comes with what to do."""

import json
import re
import socket
import sys
from importlib import metadata

import pytest
import torch
from click.testing import CliRunner
from support.builders import TWO_PARKS
from support.fake_chat_server import FakeChatServer, completion
from support.trainings import lora

from driftwatch.cli.baseline import command as make_baseline
from driftwatch.cli.config import command as check_settings
from driftwatch.cli.doctor import command
from driftwatch.doctor import environment, examine, places, replies
from driftwatch.testing import tiny_model, tiny_tokenizer
from driftwatch.watch.confirm import Confirmation

SETTINGS = """\
pack: pack.yaml
probes: [{statement: {naysaying_items: 0}}]
exporters: []
output_dir: runs
"""


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ADDRESS", "PORT", "TOKEN", "CONFIG", "SERVICE", "WEBHOOK"):
        monkeypatch.delenv(f"DRIFTWATCH_{name}", raising=False)
    (tmp_path / "pack.yaml").write_text(TWO_PARKS)
    return tmp_path


def found(folder, text=SETTINGS, **options):
    path = folder / "drift.yaml"
    path.write_text(text)
    return {finding.check: finding for finding in examine(path, **options)}


def run(*arguments):
    return CliRunner().invoke(command, list(arguments))


def test_a_healthy_setup_with_a_model_has_no_problem(folder, model):
    (folder / "drift.yaml").write_text(SETTINGS)
    assert CliRunner().invoke(make_baseline, [model, "--config", "drift.yaml", "--out", "sft"]).exit_code == 0
    text = f"{SETTINGS}baseline: sft\nconfirm: {{judge: sides, normal_draws: 2, watched_draws: 2}}\n"
    checks = found(folder, text, model=model)
    assert {name for name, finding in checks.items() if finding.level == "problem"} == set()
    assert checks["versions"].text.startswith("python 3.")
    assert "SFTTrainer" in checks["trainers"].text
    assert "RewardTrainer" not in checks["trainers"].text
    assert checks["judge"].text == "sides:2 reads a plain reply"
    assert "an observation takes" in checks["look"].text
    assert "a budget of 1 % allows a whole one every" in checks["look"].text
    assert checks["baseline"].text == "the SFT baseline can be compared with"
    assert sorted(path.name for path in folder.iterdir()) == ["drift.yaml", "pack.yaml", "sft"], "it leaves nothing"


# Every observation asks each of the two value topics 2 times, a third of the observations 4 times, and there is no
# control; half as many observations again as planned are drawn for: 5 for 3.
DRAWING = (
    f"{SETTINGS}schedule: {{every_steps: 10, early_dense: false}}\nconfirm: {{normal_draws: 2, watched_draws: 4}}\n"
)


def test_what_is_decoded_before_training_is_told_with_its_time(folder, model):
    few, many = (found(folder, DRAWING, model=model, steps=steps)["replies"] for steps in (25, 100_000))
    topics = TWO_PARKS.count("poles:")
    number = topics * (5 * 2 + 2 * 2)
    told = f"{number} replies of it are decoded before training, for 5 observations, half as many again as "
    assert re.search(rf"{re.escape(told)}planned, in about \d+ s", few.text)
    assert "32,768 replies" in many.text, "as many as are decoded at once"
    assert re.search(r"for 15,000 observations, .*, 82% of what those would ask for", many.text)
    assert "s for 32, measured" in few.text
    assert few.level == "ok"


def test_where_the_length_of_training_is_unknown_it_says_what_it_assumed(folder, model):
    text = found(folder, DRAWING, model=model)["replies"].text
    assert "for 60 observations (name their number with --steps)" in text


def test_a_decoding_that_takes_long_is_a_warning_with_what_makes_it_shorter(folder, model, monkeypatch):
    monkeypatch.setattr(replies, "LONG_SECONDS", 0.0)
    finding = found(folder, DRAWING, model=model)["replies"]
    assert finding.level == "warning"
    assert "LoRA" in finding.fix
    assert "normal_draws" in finding.fix


def test_with_adapters_on_the_model_nothing_is_decoded_before(folder):
    tokenizer = tiny_tokenizer()
    own, told = replies.decoding(lora(tiny_model(tokenizer)), tokenizer, {"confirm": Confirmation()}, steps=100)
    assert (own.level, "are what it says token by token" in own.text) == ("ok", True)
    assert (told.level, "none are decoded before training" in told.text) == ("ok", True)


def test_a_model_whose_replies_cannot_be_trusted_is_a_problem_with_the_reason():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    model.lm_head.weight.data.fill_(float("nan"))
    (told,) = replies.decoding(model, tokenizer, {"confirm": Confirmation()}, steps=100)
    assert (told.level, told.text.startswith("replies refused: the model's logits are not finite")) == ("problem", True)


def test_a_run_that_draws_no_replies_is_told_nothing_of_them(folder, model):
    assert "replies" not in found(folder, model=model)


def test_the_time_of_a_batch_scales_with_the_number_of_batches(folder, model, monkeypatch):
    monkeypatch.setattr(replies, "_batch_seconds", lambda *arguments: 0.5)
    text = found(folder, DRAWING.replace("normal_draws: 2, watched_draws: 4", "normal_draws: 16"), model=model)[
        "replies"
    ].text
    number = TWO_PARKS.count("poles:") * (60 * 16 + 20 * 32)
    assert f"{number:,} replies" in text
    assert f"in about {-(-number // 32) * 0.5:.0f} s" in text


def test_a_run_without_judged_replies_is_told_that_it_cannot_alert(folder):
    finding = found(folder)["judge"]
    assert (finding.level, "no alert" in finding.text, "confirm" in finding.fix) == ("warning", True, True)


def test_a_baseline_of_another_pack_is_a_problem_without_any_model(folder, model):
    (folder / "other.yaml").write_text(TWO_PARKS.replace("trees", "flowers"))
    CliRunner().invoke(make_baseline, [model, "--pack", "other.yaml", "--out", "sft"])
    finding = found(folder, baseline=folder / "sft")["baseline"]
    assert finding.level == "problem"
    assert "the topic pack (its items or poles) differs" in finding.text
    assert f"--config drift.yaml --out {folder / 'sft'}" in finding.fix


def test_a_baseline_of_another_template_is_a_problem_with_the_model(folder, model):
    other = tiny_tokenizer(chat_template=None)
    tiny_model(other).save_pretrained(folder / "plain")
    other.save_pretrained(folder / "plain")
    (folder / "drift.yaml").write_text(SETTINGS)
    CliRunner().invoke(make_baseline, [str(folder / "plain"), "--config", "drift.yaml", "--out", "sft"])
    finding = found(folder, model=model, baseline=folder / "sft")["baseline"]
    assert finding.level == "problem"
    assert "the chat template" in finding.text


def test_a_training_that_starts_elsewhere_is_warned(folder, model):
    other, tokenizer = tiny_model(tiny_tokenizer()), tiny_tokenizer()
    with torch.no_grad():
        other.lm_head.weight.copy_(other.lm_head.weight.flip(0) * 5)
    other.save_pretrained(folder / "other")
    tokenizer.save_pretrained(folder / "other")
    (folder / "drift.yaml").write_text(SETTINGS)
    CliRunner().invoke(make_baseline, [model, "--config", "drift.yaml", "--out", "sft"])
    finding = found(folder, model=str(folder / "other"), baseline=folder / "sft")["baseline"]
    assert finding.level == "warning"
    assert "you do not start from this SFT model" in finding.text


def test_a_baseline_that_is_missing_is_a_problem(folder):
    finding = found(folder, f"{SETTINGS}baseline: none\n")["baseline"]
    assert finding.level == "problem"
    assert "found neither" in finding.text


def test_a_model_that_is_missing_is_a_problem(folder):
    (folder / "empty").mkdir()
    finding = found(folder, model="empty")["model"]
    assert finding.level == "problem"
    assert "expected a model in the folder empty" in finding.text


def test_a_port_in_use_is_a_warning_since_a_free_one_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = found(folder, f"pack: pack.yaml\nexporters: [{{prometheus: {{port: {port}}}}}]")["port"]
    assert finding.level == "warning"
    assert f"port {port} at 127.0.0.1 cannot be used" in finding.text
    assert "DRIFTWATCH_PORT" in finding.fix


def test_an_endpoint_for_everybody_needs_a_token_for_its_page(folder, monkeypatch):
    text = "pack: pack.yaml\nexporters: [{prometheus: {port: 0}}]"
    assert found(folder, text)["port"].level == "ok"
    monkeypatch.setenv("DRIFTWATCH_ADDRESS", "0.0.0.0")
    assert "DRIFTWATCH_TOKEN" in found(folder, text)["port"].fix
    monkeypatch.setenv("DRIFTWATCH_TOKEN", "a-token-of-tests")
    assert found(folder, text)["port"].level == "ok"


@pytest.mark.parametrize(("free", "level"), [(10 << 20, "problem"), (500 << 20, "warning"), (5 << 30, "ok")])
def test_room_on_the_disk_is_judged(folder, monkeypatch, free, level):
    usage = type(places.shutil.disk_usage(folder))(100, 100, free)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: usage)
    assert found(folder)["disk"].level == level


def test_a_folder_that_cannot_be_written_is_a_problem(folder):
    (folder / "runs").write_text("a file in the way")
    finding = found(folder)["disk"]
    assert finding.level == "problem"
    assert "output_dir" in finding.fix


def test_a_service_that_does_not_answer_is_a_problem(folder, monkeypatch):
    monkeypatch.setenv("DRIFTWATCH_TOKEN", "a-token-of-tests")
    text = f"{SETTINGS.replace('[]', '[service]')}"
    monkeypatch.setenv("DRIFTWATCH_SERVICE", "http://user:word@127.0.0.1:1")
    finding = found(folder, text)["service"]
    assert finding.level == "problem"
    assert "http://127.0.0.1:1/healthz does not answer" in finding.text
    assert "word" not in finding.text


def test_the_judge_that_a_run_has_by_default_is_asked_too(folder):
    assert found(folder, f"{SETTINGS}confirm: {{normal_draws: 2}}\n")["judge"].text == "sides:2 reads a plain reply"


def endpoint(server):
    judge = f"{{endpoint: {{model: judge-1, base_url: '{server.url}', max_attempts: 1}}}}"
    return f"{SETTINGS}confirm: {{judge: {judge}}}\n"


def test_a_judge_that_answers_is_asked_once(folder):
    with FakeChatServer(lambda number, body, server: (200, {}, completion({"first": 0.9, "second": 0.1}))) as server:
        finding = found(folder, endpoint(server))["judge"]
        assert len(server.requests) == 1
    assert (finding.level, finding.fix) == ("ok", None)


def test_a_judge_that_misreads_a_plain_reply_is_a_warning(folder):
    with FakeChatServer(lambda number, body, server: (200, {}, completion({"second": 1.0}))) as server:
        finding = found(folder, endpoint(server))["judge"]
    assert finding.level == "warning"
    assert "driftwatch judge" in finding.fix


def test_a_judge_that_refuses_the_key_is_a_problem_that_names_its_variable(folder):
    with FakeChatServer(lambda number, body, server: (401, {}, {})) as server:
        finding = found(folder, endpoint(server))["judge"]
    assert finding.level == "problem"
    assert "OPENAI_API_KEY" in finding.text


def test_settings_that_cannot_be_read_end_the_examination(folder):
    checks = found(folder, "bugdet: 1")
    assert "drift.yaml:1" in checks["settings"].text
    assert "disk" not in checks


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("tolerance: {immigraton: 0.1}", 'tolerance: "immigraton" is no value topic'),
        ("confirm: {judge: reference}", 'judge "reference" needs the model in training'),
        ("run: a/b", "run"),
    ],
)
def test_the_doctor_and_the_check_of_settings_agree(folder, wrong, sentence):
    finding = found(folder, f"{SETTINGS}{wrong}\n")["settings"]
    assert finding.level == "problem"
    assert finding.text.startswith("drift.yaml:5: ")
    assert sentence in finding.text
    checked = CliRunner().invoke(check_settings, ["check", "drift.yaml"])
    assert checked.exit_code == 1
    assert checked.stderr == f"{finding.text}\n"


def test_settings_that_cannot_be_made_are_a_problem(folder):
    assert found(folder, f"{SETTINGS}alpha: 0.01\nschedule: {{every_steps: 0}}")["settings"].level == "problem"


def test_a_package_that_is_too_old_or_missing_is_named():
    versions = {"transformers": "4.40.0", "trl": None}
    finding = environment.versions(lambda name: versions.get(name, environment.installed(name)))
    assert finding.level == "problem"
    assert "transformers 4.40.0 (wanted >=5.0)" in finding.text
    assert "trl is missing" in finding.text
    assert "pip install" in finding.fix


def test_a_python_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 1))
    assert "Use Python 3.10 or newer" in environment.versions().fix


def test_versions_are_judged_by_what_this_package_asks_for():
    wanted = environment._wanted()
    assert {"torch", "transformers", "trl", "click"} <= set(wanted)
    assert not {"pytest", "ruff"} & set(wanted), "what only our own developers need"
    assert metadata.version("torch") in environment.versions().text


def test_a_trainer_without_what_the_callback_needs_is_a_problem(monkeypatch):
    module = sys.modules["transformers.trainer_callback"]
    monkeypatch.delattr(module, "ExportableState")
    (finding,) = environment.trainers()
    assert finding.level == "problem"
    assert "lacks ExportableState" in finding.text


def test_the_command_prints_what_to_do_and_exits_with_one(folder):
    (folder / "drift.yaml").write_text(f"{SETTINGS}baseline: none\n")
    done = run("--config", "drift.yaml")
    assert done.exit_code == 1
    assert "PROBLEM  baseline" in done.stdout
    assert "→ Make it again: driftwatch baseline MODEL" in done.stdout


def test_the_command_gives_json(folder):
    (folder / "drift.yaml").write_text(SETTINGS)
    done = run("--config", "drift.yaml", "--json")
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert printed["ok"] is True
    assert {"check", "level", "text", "fix"} == set(printed["findings"][0])


# Nothing here has a GPU, so this has never run.
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_look_on_a_gpu_says_what_memory_it_takes(folder, model):
    checks = found(folder, model=model)
    assert "GiB free" in checks["gpu"].text
    assert "an observation takes" in checks["memory"].text


def test_the_template_has_a_line_of_its_own():
    from driftwatch.doctor.template import template
    from driftwatch.testing import CHAT_TEMPLATE, tiny_tokenizer

    dated = "{{ strftime_now('%Y') }}" + CHAT_TEMPLATE
    found = template(tiny_tokenizer(chat_template=dated))
    assert found.level == "ok"
    assert found.text == "question found, answers in training's tokens, ends with <|im_end|>, clock frozen"
    assert template(tiny_tokenizer(chat_template=None)).level == "ok"
    endless = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert template(tiny_tokenizer(chat_template=endless)).level == "warning"
    lost = template(tiny_tokenizer(chat_template="{{ messages[-1]['content'] }}"))
    assert (lost.level, "the question is not in what it writes" in lost.text) == ("problem", True)
