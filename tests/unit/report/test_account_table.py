"""The digits of the energy account's table, whatever the size of the network."""

from dataclasses import dataclass, field

import pytest

from gacsnn.report.energy import table


@dataclass
class Row:
    macs: int
    layer: str = "head.linear"
    part: str = "head"
    input: str = "spikes"
    spiking_layer: str = "head.lif"
    firing_rate: float | None = 0.5
    rates: list[float] = field(default_factory=lambda: [0.25, 0.75])
    sops: float = 0.0
    paper_mj: float = 0.0
    full_mj: float = 0.0


@pytest.mark.parametrize(
    ("macs", "written"), [(0, "0.000"), (4, "0.000004000"), (238_800, "0.2388"), (9_400_000_000, "9400.000")]
)
def test_a_sum_has_three_decimals_or_four_digits(macs: int, written: str) -> None:
    lines = table([Row(macs)])  # type: ignore[list-item]
    assert lines[-1].split()[1] == written
    assert len({len(line) for line in lines if line}) == 1
    assert lines[1].split()[3:6] == ["50.00", "25.00", "75.00"]
