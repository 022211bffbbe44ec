"""`driftwatch run` around real commands, as a person would type them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.builders import TWO_PARKS, WATCHED

from driftwatch.store import RunStore

DRIFTWATCH = [sys.executable, "-m", "driftwatch", "run"]
TRAIN = """\
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("model")
ids = tokenizer("I want more trees. ")["input_ids"]
trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained("model"),
    args=TrainingArguments("out", max_steps=2, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True),
    train_dataset=[{"input_ids": ids, "labels": ids}] * 8,
    processing_class=tokenizer,
)
trainer.train()
sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)
"""


@pytest.fixture
def place(tmp_path, tiny_llama, tiny_tokenizer):
    """A folder with a model, a training script and settings."""
    tiny_llama.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "drift.yaml").write_text(WATCHED)
    (tmp_path / "pack.yaml").write_text(TWO_PARKS)
    return tmp_path


def run(folder, *arguments, **variables):
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        # Programs that are installed beside this Python: accelerate, torchrun, trl.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        **variables,
    }
    return subprocess.run([*DRIFTWATCH, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def assert_watched(folder, *, run="watched", steps=(0, 1, 2), processes=1):
    store = RunStore(folder / "runs" / run)
    assert [record.step for record in store.records()] == list(steps)
    assert store.info().num_processes == processes
    assert store.state() == "finished"


def test_a_script_is_watched_without_a_change_and_keeps_its_exit_code(place):
    done = run(place, "--config", "drift.yaml", "--", sys.executable, "train.py", "5")
    assert done.returncode == 5, done.stderr[-3000:]
    assert_watched(place)
    assert "driftwatch: attached to Trainer (LlamaForCausalLM): run " in done.stderr
    assert f"driftwatch report {place / 'runs' / 'watched'}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["train.py"], 2, 'expected "--" and the command that trains after it, found none'),
        (["--"], 2, 'expected "--" and the command that trains after it, found none'),
        ([], 2, 'expected "--" and the command that trains after it, found none'),
        (["--", "nonsuch-program"], 127, 'there is no "nonsuch-program" on PATH'),
        (["--config", "none.yaml", "--", "true"], 3, "none.yaml: expected a settings file, found none"),
        (["--", "true"], 3, "nothing was watched in `true`: no Python below it imported the Trainer"),
        (["--", "false"], 1, ""),
        (["--", "sh", "-c", "kill -TERM $$"], 143, ""),
    ],
)
def test_what_cannot_be_watched_is_said_in_one_sentence(tmp_path, arguments, code, sentence):
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 4


# A training that would last for days, and that a scheduler may end as schedulers do.
LONG = """\
import signal, sys
from pathlib import Path
from transformers import TrainerCallback

class Ending(TrainerCallback):
    asked = False

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            Path("in-training").touch()
        control.should_training_stop = self.asked

ending = Ending()
signal.signal(signal.SIGTERM, lambda number, frame: setattr(ending, "asked", True))
"""
ENDING = """\
trainer.add_callback(ending)
try:
    trainer.train()
except KeyboardInterrupt:
    sys.exit(9)
sys.exit(7)
"""


def launched(folder):
    """`driftwatch run` around the long training, once that is training; without a terminal, as schedulers start it."""
    script = LONG + TRAIN.replace("max_steps=2", "max_steps=10**6").partition("trainer.train()")[0] + ENDING
    (folder / "train.py").write_text(script)
    (folder / "drift.yaml").write_text(WATCHED.replace("every_steps: 1,", "every_steps: 1000000,"))
    started = subprocess.Popen(
        [*DRIFTWATCH, "--config", "drift.yaml", "--", sys.executable, "train.py"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (folder / "in-training").exists() and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return started


@pytest.mark.parametrize(
    ("number", "code", "state", "phases"),
    [
        # The script stops its training: the last observation is taken, and its own exit code is kept.
        (signal.SIGTERM, 7, "stopped", ["start", "end"]),
        # Python's own way to end: nothing more is asked of the model, and the run is closed all the same.
        (signal.SIGINT, 9, "failed", ["start"]),
        # Nobody handles it: the training is killed, and for its readers the run lives until its heartbeat is old.
        (signal.SIGUSR1, 128 + signal.SIGUSR1, "running", ["start"]),
    ],
)
def test_a_signal_to_the_launcher_reaches_the_training_and_its_end_is_waited_for(place, number, code, state, phases):
    started = launched(place)
    try:
        assert (place / "in-training").exists(), started.communicate(timeout=10)[0][-3000:]
        started.send_signal(number)  # to the launcher alone
        said = started.communicate(timeout=120)[0]
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    assert started.returncode == code, said[-3000:]
    store = RunStore(place / "runs" / "watched")
    assert store.state() == state
    assert [record.phase for record in store.records()] == phases
    assert f"driftwatch report {store.folder}" in said, "it has waited for its child, and tells what it left"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("pack: quick\ntolerance: {immigraton: 0.1}", "drift.yaml:2: "),
        ("pack: nope", "drift.yaml:1: "),
        ("baseline: nowhere/sft", "drift.yaml:1: expected a baseline"),
    ],
)
def test_what_the_settings_name_is_made_before_anything_starts(tmp_path, settings, sentence):
    (tmp_path / "drift.yaml").write_text(settings)
    done = run(tmp_path, "--config", "drift.yaml", "--", "touch", "started")
    assert done.returncode == 3
    assert done.stderr.startswith(f"driftwatch: {sentence}")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "started").exists()


def test_settings_with_a_mistake_start_nothing(tmp_path):
    (tmp_path / "drift.yaml").write_text("pack: quick\nbugdet: 1\n")
    done = run(tmp_path, "--config", "drift.yaml", "--", "touch", "started")
    assert done.returncode == 3
    assert "drift.yaml:2: expected only pack, " in done.stderr
    assert not (tmp_path / "started").exists()
    done = run(tmp_path, "--", "touch", "started", DRIFTWATCH_PORT="http")
    assert "DRIFTWATCH_PORT is a number" in done.stderr
    assert not (tmp_path / "started").exists()


def test_an_unknown_option_of_ours_gets_a_hint(tmp_path):
    done = run(tmp_path, "--confg", "a", "--", "true")
    assert done.returncode == 2
    assert "--config" in done.stderr


def test_help_needs_no_command(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "driftwatch run [OPTIONS] -- COMMAND..." in done.stdout


def test_options_of_the_command_stay_the_commands(tmp_path):
    done = run(tmp_path, "--", sys.executable, "-c", "import sys; print(sys.argv[1:])", "--config", "x", "--", "--help")
    assert done.stdout == "['--config', 'x', '--', '--help']\n"


def test_an_operator_can_turn_it_off(tmp_path):
    code = "import os; print(os.environ.get('PYTHONPATH', ''), os.environ.get('DRIFTWATCH_RUN_NOTES'))"
    done = run(tmp_path, "--", sys.executable, "-c", code, DRIFTWATCH_DISABLED="1", PYTHONPATH="here")
    assert done.returncode == 0
    assert done.stdout == "here None\n"
    assert "DRIFTWATCH_DISABLED is set: the command runs unwatched" in done.stderr


@pytest.mark.slow
def test_a_run_around_a_run_hears_of_it(place):
    done = run(place, "--", *DRIFTWATCH, "--config", "drift.yaml", "--", sys.executable, "train.py")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_watched(place)


@pytest.mark.slow
def test_accelerate_launch_is_watched(place):
    done = run(
        place, "--config", "drift.yaml", "--", "accelerate", "launch", "--num_processes", "2", "--cpu", "train.py"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Accelerate 1.15 starts one process for this on a machine without MPI; what it starts is watched.
    assert_watched(place)
    assert done.stderr.count("attached to Trainer") == 1


@pytest.mark.slow
def test_ranks_of_torchrun_share_one_run_and_rank_zero_speaks(place):
    done = run(place, "--config", "drift.yaml", "--", "torchrun", "--standalone", "--nproc_per_node", "2", "train.py")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_watched(place, processes=2)
    assert os.listdir(place / "runs") == ["watched"]
    assert done.stderr.count("attached to Trainer") == 1


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_trl_on_the_command_line_is_watched(place, stage):
    question = [{"role": "user", "content": "What do we need?"}]
    trees, houses = ([{"role": "assistant", "content": text}] for text in ("More trees.", "More houses."))
    rows = {"sft": {"completion": trees}, "dpo": {"chosen": trees, "rejected": houses}}
    (place / "data").mkdir()
    (place / "data" / "train.jsonl").write_text((json.dumps({"prompt": question, **rows[stage]}) + "\n") * 8)
    command = ["trl", stage, "--model_name_or_path", "model", "--dataset_name", "data", "--output_dir", "out"]
    command += ["--max_steps", "2", "--per_device_train_batch_size", "2", "--use_cpu", "--bf16", "false"]
    command += ["--report_to", "none", "--save_strategy", "no", "--eval_strategy", "no"]
    done = run(place, "--config", "drift.yaml", "--", *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_watched(place)
    assert f"attached to {stage.upper()}Trainer (LlamaForCausalLM)" in done.stderr
