"""The pages that people read."""

from program import ROOT


def test_the_readme_holds_no_placeholder_and_no_dead_link() -> None:
    import re

    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text()
        assert not re.search(r"@[A-Z]+@", text)
        for link in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (page.parent / link).exists(), link


def test_the_tests_that_a_page_names_are_there() -> None:
    import re

    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
