from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from driftwatch.errors import ConfigError
from driftwatch.host.load import is_missing, load_model
from driftwatch.testing import tiny_model


@pytest.mark.parametrize(
    "name", ["/models/sft", "./sft", "../sft", "~/no-such-sft", "runs/sft/final", "sft/", "C:\\sft", "models\\sft"]
)
def test_what_can_only_be_a_path_is_never_looked_for_on_a_hub(name):
    with pytest.raises(ConfigError, match="expected a model's folder; found none at"):
        load_model(name)


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen3-0.6B", "sft_final"])
def test_hub_ids_are_no_paths(name):
    assert not is_missing(name)


def test_a_folder_below_the_home_is_found(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sft").symlink_to(tiny_folder)
    assert not is_missing("~/sft")
    assert load_model("~/sft").model.config.model_type == "llama"


WEIGHTS = "model.safetensors"


def spoiled(folder, into, change):
    """A copy of a model's folder with other weights in it."""
    into.mkdir()
    folder = Path(folder)
    for file in folder.iterdir():
        if file.name != WEIGHTS:
            (into / file.name).write_bytes(file.read_bytes())
    save_file(change(load_file(folder / WEIGHTS)), into / WEIGHTS, metadata={"format": "pt"})
    return into


def prefixed(prefix):
    return lambda weights: {f"{prefix}{name}": weight for name, weight in weights.items()}


SPOILED = {
    "from torch.compile": (prefixed("_orig_mod."), r"21 that are not there .*lm_head.*Names begin with _orig_mod\.: "),
    "from a value head": (prefixed("pretrained_model."), "21 that the model has no place for .*its pretrained_model"),
    "from a wrapper": (prefixed("module."), r"Names begin with module\."),
    "without a layer": (
        lambda weights: {name: weight for name, weight in weights.items() if "layers.1." not in name},
        r"parameters 9 that are not there and would be random \(model.layers.1.input_layernorm.weight, .*, …\)",
    ),
    "without a head": (
        lambda weights: {name: weight for name, weight in weights.items() if "lm_head" not in name},
        r"1 that are not there and would be random \(lm_head.weight\)",
    ),
    "with more than the model has": (
        lambda weights: {**weights, "v_head.weight": torch.zeros(2)},
        r"1 that the model has no place for \(v_head.weight\)",
    ),
    "with a weight of another shape": (
        lambda weights: {**weights, "model.norm.weight": torch.zeros(2)},
        "cannot be loaded|of another shape",
    ),
}


@pytest.mark.parametrize(("change", "says"), SPOILED.values(), ids=SPOILED)
def test_a_folder_without_the_whole_model_is_refused_with_names_and_a_count(change, says, tiny_folder, tmp_path):
    with pytest.raises(ConfigError, match=says):
        load_model(str(spoiled(tiny_folder, tmp_path / "sft", change)))


def test_tied_weights_that_are_saved_once_are_whole(tiny_tokenizer, tmp_path):
    model = tiny_model(tiny_tokenizer, tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / WEIGHTS)
    assert torch.equal(load_model(str(tmp_path)).model.lm_head.weight, model.lm_head.weight)


def test_frequencies_that_older_versions_saved_are_no_fault(tiny_folder, tmp_path):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    folder = spoiled(tiny_folder, tmp_path / "old", lambda weights: {**weights, name: torch.ones(4)})
    assert load_model(str(folder)).model is not None


@pytest.fixture
def adapter(tiny_folder, tiny_tokenizer, tmp_path):
    """Makes the folder of a trained adapter of a base model."""

    def make(base):
        model = get_peft_model(
            load_model(str(tiny_folder)).model,
            LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False),
        )
        model.peft_config["default"].base_model_name_or_path = str(base)
        model.save_pretrained(tmp_path / "adapter")
        tiny_tokenizer.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter", model

    return make


def test_an_adapters_folder_is_whole(adapter, tiny_folder):
    folder, model = adapter(tiny_folder)
    ids = torch.arange(7)[None]
    with torch.no_grad():
        assert torch.equal(load_model(str(folder)).model(ids).logits, model.eval()(ids).logits)


def test_an_adapter_of_a_base_that_is_not_whole_is_refused(adapter, tiny_folder, tmp_path):
    base = spoiled(tiny_folder, tmp_path / "base", prefixed("_orig_mod."))
    with pytest.raises(ConfigError, match=r"base.*Names begin with _orig_mod"):
        load_model(str(adapter(base)[0]))
