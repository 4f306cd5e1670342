"""A config.yaml is written and read."""

from pathlib import Path

from program import config

from gacsnn.config.saved import load, to_yaml


def test_a_saved_config_reads_back_the_same(tmp_path: Path) -> None:
    saved = config("dataset=cifar10", "model.stages=[[8,1,1],[16,1,2]]", "optimizer=adamw")
    (tmp_path / "config.yaml").write_text(to_yaml(saved))
    assert load(tmp_path / "config.yaml") == saved
