"""What makes two configs the same run."""

from program import config

from gacsnn.config.merge import config_hash


def test_the_hash_names_what_is_run_and_not_where() -> None:
    same = [config(), config("output_dir=elsewhere"), config("hardware=cpu", "hardware.threads=1")]
    other = [config("seed=1"), config("T=2"), config("hardware.precision=bf16"), config("dataset.validation=0.2")]
    assert len({config_hash(c) for c in same}) == 1
    assert len({config_hash(c) for c in [*same, *other]}) == 5
