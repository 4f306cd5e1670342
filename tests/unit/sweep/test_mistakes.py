"""Hydra's words made ours."""

from hydra.errors import HydraException

from gacsnn.sweep.mistakes import one_line


def test_a_launcher_of_an_extra_is_said_how_to_install() -> None:
    error = HydraException("In 'config': Could not find 'hydra/launcher/submitit_slurm'\n\nAvailable options:\n\tbasic")
    assert (
        one_line(error) == "hydra/launcher=submitit_slurm: its plugin is not installed; pip install -e '.[slurm]' does"
    )
    other = HydraException("In 'config': Could not find 'hydra/launcher/basik'\n\nAvailable options:\n\tbasic")
    assert "did you mean basic?" in one_line(other)


def test_several_choices_are_no_list() -> None:
    error = HydraException("Ambiguous value for argument 'model=resnet18,resnet34'\n1. To use it as a list")
    assert (
        one_line(error)
        == "model=resnet18,resnet34: several values are a grid, which begins with -m: -m model=resnet18,resnet34"
    )
    of_values = HydraException("Ambiguous value for argument 'T=1,2'\n1. To use it as a list")
    assert one_line(of_values).endswith("begins with -m: -m T=1,2"), "T is one value"
    of_values = HydraException("Ambiguous value for argument 'runs=a,b'\n1. To use it as a list")
    assert one_line(of_values).endswith("begins with -m: -m runs=a,b; a list is written runs=[a,b]")
