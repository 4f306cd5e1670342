"""What a plain `import gacsnn` brings."""

import subprocess
import sys


def test_submodules_are_there_after_a_plain_import() -> None:
    import gacsnn

    assert set(gacsnn.encoders.ENCODERS) >= {"gac", "direct", "poisson", "latency", "phase"}
    assert set(gacsnn.encoders.CODES) >= {"poisson", "latency", "phase"}


def test_a_plain_import_brings_no_torch() -> None:
    program = "import sys, gacsnn; print('torch' in sys.modules); gacsnn.load; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
