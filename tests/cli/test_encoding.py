"""Output that the encoding of a terminal or log file lacks is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import ROOT

from gacsnn.errors import InputError
from gacsnn.runtime.files import check_writable, write_text

# Shows `±`, and the name of a folder that is no text.
CODE = """
import sys
sys.path.insert(0, {root!r})
from gacsnn.runtime.console import log, replace_unprintable, speak, write_error
replace_unprintable()
speak()
log.info("96.30 \\u00b1 0.25 in odd\\udcff")
write_error("caf\\u00e9")
"""


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, ("96.30 \\xb1 0.25 in odd\\udcff", "caf\\xe9")),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            ("96.30 \\xb1 0.25 in odd\\udcff", "caf\\xe9"),
        ),
        ({"PYTHONIOENCODING": "utf-8"}, ("96.30 ± 0.25 in odd\\udcff", "café")),
    ],
    ids=["ascii", "C", "utf-8"],
)
def test_output_that_an_encoding_lacks_is_replaced(variables: dict[str, str], shown: tuple[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PYTHON", "LANG"))}
    command = [sys.executable, "-c", CODE.format(root=str(ROOT))]
    done = subprocess.run(command, env=environment | variables, capture_output=True, check=True)
    assert (done.stdout.decode(), done.stderr.decode()) == (f"{shown[0]}\n", f"error: {shown[1]}\n")


def test_file_with_a_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "odd\udcff ±")
    assert (tmp_path / "page.html").read_text("utf-8") == "odd\\udcff ±"


def test_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its name is not UTF-8"):
        check_writable("output_dir", tmp_path / "odd\udcff")
