"""What a plain `import gacsnn` brings."""

import subprocess
import sys


def test_submodules_are_there_after_a_plain_import() -> None:
    import gacsnn

    assert set(gacsnn.encoders.ENCODERS) >= {"gac", "direct", "poisson", "latency", "phase"}
    assert set(gacsnn.encoders.CODES) >= {"poisson", "latency", "phase"}


def test_a_plain_import_brings_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import gacsnn; print('plain', flush=True); gacsnn.load"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "plain\n"
    assert "import of torch" in done.stderr.splitlines()[-1], "what a network needs does want it"
