import pytest

from driftwatch.errors import ConfigError
from driftwatch.probes.load import is_missing, load_model


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
