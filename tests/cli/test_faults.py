"""The trial by fire in small; benchmarks/faults.py is all of it."""

import random
from pathlib import Path

import pytest
from program import Launch
from storms import AFTER_LOADERS, AIMS, COMMANDS, RUN, SIGNALS, check_retried, killed_run, signalled, storm


def killed_again_and_again(launch: Launch, folder: Path, kills: list[tuple[str, str]], seed: int) -> int:
    assert launch(*RUN, "output_dir=whole").code == 0
    return len(list(killed_run(folder, folder / "whole", kills, random.Random(seed))))


@pytest.mark.slow
def test_a_run_by_two_processes_that_is_killed_twice_ends_as_if_it_never_was(launch: Launch, tmp_path: Path) -> None:
    assert killed_again_and_again(launch, tmp_path, [("all", "save"), ("one", "step")], 0) == 2


@pytest.mark.slow
def test_kills_anywhere_in_a_run_by_two_processes_cost_no_bit(launch: Launch, tmp_path: Path) -> None:
    kills = [(victim, aim) for aim in AIMS for victim in ("all", "one")]
    assert killed_again_and_again(launch, tmp_path, kills, 1) >= len(kills) - 2


@pytest.mark.slow
def test_a_storm_over_a_sweep_loses_and_doubles_nothing(tmp_path: Path) -> None:
    victims, _ = storm(tmp_path, 4, 4, random.Random(0), longest=3.0)
    assert victims.total() == 4


@pytest.mark.slow
def test_a_longer_storm_loses_nothing_and_retries_cost_no_bit(tmp_path: Path) -> None:
    generator = random.Random(1)
    _, study = storm(tmp_path, 10, 12, generator)
    assert check_retried(tmp_path, study, 2, generator) > 0


def signals(kind: str, folder: Path, count: int, seed: int) -> None:
    generator = random.Random(seed)
    for index in range(count):
        numbers = generator.choices(SIGNALS[:3], k=1) * 2 if index % 3 == 2 else generator.choices(SIGNALS)
        (folder / str(index)).mkdir()
        longest = AFTER_LOADERS if kind == "loaders" else 4
        signalled(folder / str(index), kind, numbers, longest * generator.random() ** 2, generator.uniform(0, 0.3))


@pytest.mark.parametrize("kind", ["run", pytest.param("group", marks=pytest.mark.slow)])
def test_a_signal_at_any_moment_ends_a_command_that_goes_on_later(kind: str, tmp_path: Path) -> None:
    signals(kind, tmp_path, 1 if kind == "run" else 2, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
def test_signals_at_many_moments_are_never_ignored(kind: str, tmp_path: Path) -> None:
    signals(kind, tmp_path, 10, seed=3)
