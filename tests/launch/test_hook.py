"""The hook costs a process nothing until it trains, and hides nobody's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from driftwatch.launch.process import environment


def python(code, folder, notes, **variables):
    env = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(env, notes=notes, config=None),
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_process_that_does_not_train_imports_nothing_of_ours(tmp_path):
    code = "import sys; print([m for m in sys.modules if m.split('.')[0] in ('driftwatch', 'torch', 'transformers')])"
    done = python(code, tmp_path, tmp_path)
    assert done.stdout == "[]\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_the_process_is_as_without_us(tmp_path):
    code = "import sys; print(sys.path)"
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    plain = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ""}, **run)
    assert python(code, tmp_path, tmp_path, PYTHONPATH="").stdout == plain.stdout


def test_a_sitecustomize_that_is_there_is_run_under_its_name(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins, os\nbuiltins.customized = (__name__, __file__)\n")
    code = "import sitecustomize; print(customized, sitecustomize.__file__)"
    done = python(code, tmp_path, tmp_path, PYTHONPATH=str(tmp_path))
    own = str(tmp_path / "sitecustomize.py")
    assert done.stdout == f"{('sitecustomize', own)} {own}\n"


def fake_transformers(folder, text):
    (folder / "transformers").mkdir()
    (folder / "transformers" / "__init__.py").write_text("")
    (folder / "transformers" / "trainer_callback.py").write_text(text)


def test_the_trainer_module_is_patched_when_it_is_imported_and_keeps_its_source(tmp_path):
    fake_transformers(tmp_path, "class CallbackHandler:\n    def on_train_begin(self):\n        return 'begun'\n")
    code = (
        "import inspect, sys, transformers.trainer_callback as module\n"
        "print(module.CallbackHandler.on_train_begin.__wrapped__.__name__, 'torch' in sys.modules)\n"
        "print(inspect.getsource(module.CallbackHandler).splitlines()[0])\n"
        "print([type(f).__name__ for f in sys.meta_path if type(f).__name__ == '_Waiting'])\n"
    )
    done = python(code, tmp_path, tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stdout == "on_train_begin False\nclass CallbackHandler:\n[]\n"
    (note,) = tmp_path.glob("*.jsonl")
    assert json.loads(note.read_text())["kind"] == "loaded"


def test_a_transformers_that_we_cannot_patch_goes_on_unwatched_and_is_reported(tmp_path):
    fake_transformers(tmp_path, "renamed = True\n")
    done = python(
        "import transformers.trainer_callback as m; print(m.renamed)", tmp_path, tmp_path, PYTHONPATH=str(tmp_path)
    )
    assert done.stdout == "True\n"
    assert f"driftwatch: nothing is watched in {sys.executable}" in done.stderr
    (note,) = tmp_path.glob("*.jsonl")
    assert json.loads(note.read_text())["kind"] == "failed"


def test_an_interpreter_without_driftwatch_goes_on_unwatched_and_is_reported(tmp_path):
    fake_transformers(tmp_path, "class CallbackHandler:\n    def on_train_begin(self): ...\n")
    hide = "import sys\nsys.modules['driftwatch'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = python("import transformers.trainer_callback; print('on')", tmp_path, tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stdout == "on\n"
    (note,) = tmp_path.glob("*.jsonl")
    assert json.loads(note.read_text())["text"].startswith(sys.executable)


def test_the_folder_of_the_hook_holds_nothing_else():
    """Whatever is in it can be imported by every program below `driftwatch run`."""
    hook = Path(environment({}, notes=Path("/n"), config=None)["PYTHONPATH"])
    assert sorted(path.name for path in hook.glob("*.py")) == ["__init__.py", "sitecustomize.py"]
