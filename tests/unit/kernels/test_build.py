"""The CPU's library: compiled once, kept, checked before it is loaded, and done without if it cannot be compiled."""

import logging
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gacsnn.kernels import build, cpu
from gacsnn.kernels.build import BuildError, shared_library

Fake = Callable[[str], None]


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test looks for the library itself, in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "shared_library", shared_library.__wrapped__)
    monkeypatch.setattr(build, "FLAGS", ("-O0", "-fopenmp", "-shared", "-fPIC", "-std=gnu11"))  # a second less
    monkeypatch.setattr(logging.getLogger("gacsnn"), "propagate", True)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a shell script in the compiler's place."""

    def put(script: str) -> None:
        compiler = tmp_path / "bin" / "cc"
        compiler.parent.mkdir(exist_ok=True)
        compiler.write_bytes(script.encode("latin-1"))
        compiler.chmod(0o755)
        monkeypatch.setenv("PATH", f"{compiler.parent}{os.pathsep}{os.environ['PATH']}")

    return put


def the_kept(tmp_path: Path) -> Path:
    (kept,) = (tmp_path / "cache" / "gacsnn").iterdir()
    return kept


def test_it_is_compiled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.shared_library()
    assert the_kept(tmp_path).suffix == ".so"
    monkeypatch.setattr(build, "compile_to", lambda *_: pytest.fail("it is there"))
    build.shared_library()


def test_symbols_are_all_functions_that_are_called() -> None:
    plain = {"norm", "gradients"}
    called = {*plain, *(f"{name}_{each}" for name in cpu.ARGUMENTS.keys() - plain for each in cpu.TYPES.values())}
    assert set(build.SYMBOLS) == called


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "another's"])
def test_kept_library_that_is_damaged_is_compiled_anew(damage: str, tmp_path: Path) -> None:
    build.shared_library()
    kept = the_kept(tmp_path)
    whole = kept.read_bytes()
    flipped = whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:]
    library = whole[:-32]  # sealed for another machine, compiler or version of the source
    other = library + build.seal(library, "another key")
    kept.unlink()  # the old file is mapped
    kept.write_bytes({"cut": whole[: len(whole) // 2], "a bit": flipped, "empty": b"", "another's": other}[damage])
    build.shared_library()
    assert the_kept(tmp_path).read_bytes() == whole


def test_key_depends_on_source_compiler_and_processor(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.monotonic() + 20
    keys = [build.fingerprint("cc", later)]
    monkeypatch.setattr(build, "SOURCE", tmp_path / "cpu.c")
    build.SOURCE.write_text("another version")
    keys.append(build.fingerprint("cc", later))
    fake("#!/bin/sh\necho another compiler\n")
    keys.append(build.fingerprint(str(tmp_path / "bin" / "cc"), later))
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *how, **more: read(self, *how, **more).replace(" sse2", "" if self.name == "cpuinfo" else " sse2"),
    )
    if " sse2" in Path("/proc/cpuinfo").read_bytes().decode():
        keys.append(build.fingerprint(str(tmp_path / "bin" / "cc"), later))
    assert len(set(keys)) == len(keys)


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "gacsnn"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert build.kept() is None
    folder.chmod(0o700)
    assert build.kept() == folder


def test_cache_that_is_a_file_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").touch()
    build.shared_library()
    (record,) = caplog.records
    assert "are not kept, and each run compiles them again (no cache folder" in record.getMessage()


def test_cache_in_which_nothing_can_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "gacsnn"
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if self.parent == cache:
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    build.shared_library()
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()
    assert list(cache.iterdir()) == []


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match=r"no C compiler \(cc, gcc, clang\) is there"):
        build.shared_library()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\necho 'cannot do that' >&2\nexit 1\n", "cc fails: cannot do that$"),
        ("#!/bin/sh\nprintf '\\377\\376\\033[31m f\xfcr\\n' >&2\nexit 1\n", "cc fails: ��\\[31m f�r$"),
        ("#!/bin/sh\nexit 1\n", "cc fails: it says nothing$"),
        ("#!/bin/sh\nexit 0\n", "the library that .*cc made cannot be loaded$"),
        ('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; head -c 70000 /dev/zero >"$2"\n', "cannot be loaded$"),
        ('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; rm "$2"\n', "cannot be loaded$"),
        ("#!/nowhere/sh\n", r"cc cannot be run \(No such file or directory\)$"),
    ],
    ids=["fails", "odd bytes", "silent", "nothing", "garbage", "no file", "no interpreter"],
)
def test_compiler_that_fails_is_named_and_leaves_nothing(script: str, reason: str, tmp_path: Path, fake: Fake) -> None:
    fake(script)
    with pytest.raises(BuildError, match=reason) as error:
        build.shared_library()
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.so"))


@pytest.mark.parametrize("moment", ["", '[ "$1" = --version ] && exit\n'], ids=["version", "compiling"])
def test_compiler_that_hangs_is_ended_with_its_children(
    moment: str, tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LIMIT", 0.5)
    fake(f"#!/bin/sh\n{moment}sleep 1000 &\necho $! > {tmp_path}/child\nwait\n")
    with pytest.raises(BuildError, match="cc has not ended after"):
        build.shared_library()
    child = (tmp_path / "child").read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", child], capture_output=True, text=True, check=False).stdout
    assert state.strip() in ("", "Z")


def test_library_that_ends_the_process_that_loads_it_is_not_kept(tmp_path: Path, fake: Fake) -> None:
    code = "void __attribute__((constructor)) end(void) { __builtin_trap(); }"
    (tmp_path / "broken.c").write_text(code)
    real = subprocess.run(["sh", "-c", "command -v cc"], capture_output=True, text=True, check=True).stdout.strip()
    script = f'while [ "$1" != -o ]; do shift; done; {real} -shared -fPIC {tmp_path}/broken.c -o "$2"'
    fake(f'#!/bin/sh\n[ "$1" = --version ] && exit\n{script}\n')
    with pytest.raises(BuildError, match="cannot be loaded"):
        build.shared_library()
