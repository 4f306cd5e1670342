"""The options of a run."""

from gacsnn.config.schema import options


def test_every_option_has_a_sentence_of_help() -> None:
    assert [name for name, help in options().items() if len(help) < 5] == []
