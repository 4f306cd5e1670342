"""The CPU's library: compiled once, kept, and done without where there is no compiler."""

import os
from pathlib import Path

import pytest

from gacsnn.kernels import build
from gacsnn.kernels.build import BuildError, shared_library


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test looks for the library itself, in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "shared_library", shared_library.__wrapped__)


def test_it_is_compiled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.shared_library()
    (kept,) = (tmp_path / "cache" / "gacsnn").iterdir()
    assert kept.suffix == ".so"
    monkeypatch.setattr(build, "compile_to", lambda *_: pytest.fail("it is there"))
    build.shared_library()


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "gacsnn"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert build.kept() is None
    folder.chmod(0o700)
    assert build.kept() == folder


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match=r"no C compiler \(cc, gcc, clang\) is there"):
        build.shared_library()


def test_a_compiler_that_fails_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'cannot do that' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BuildError, match="cc fails: cannot do that"):
        build.shared_library()
    assert list((tmp_path / "cache" / "gacsnn").iterdir()) == []
