"""How threads wait."""

import os
import subprocess
import sys

import pytest
from program import ROOT

from gacsnn.runtime.cores import OF_WAITING, SPINS, spin_briefly


@pytest.mark.parametrize("said", [None, *OF_WAITING])
def test_threads_spin_briefly_where_the_user_says_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    for name in OF_WAITING:
        monkeypatch.delenv(name, raising=False)
    if said is not None:
        monkeypatch.setenv(said, "7")
    spin_briefly()
    found = {name: os.environ[name] for name in OF_WAITING if name in os.environ}
    assert found == ({"GOMP_SPINCOUNT": str(SPINS)} if said is None else {said: "7"})
    monkeypatch.undo()


def test_the_program_says_so_before_torch_is_there() -> None:
    """libgomp reads its environment when it is loaded."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = ['--help']; import launch, os\n"
        "try: launch.main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in OF_WAITING}
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.splitlines()[-1] == f"False {SPINS}", done.stderr
