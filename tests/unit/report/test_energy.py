"""The energy account as a CSV file and a table."""

from pathlib import Path

import pytest
from networks import fabricated, small
from program import read_csv

from gacsnn.config.schema import Energy
from gacsnn.energy import energy_account
from gacsnn.report.energy import table, write_csv

ONCE = Energy(mac_pj=4.6, ac_pj=0.9, encoder="once")


def number(text: str) -> float | None:
    return float(text) if text else None


def test_the_csv_holds_every_number_of_the_account(tmp_path: Path) -> None:
    model = small(T=3)
    rows = energy_account(model, (8, 8), fabricated(model), **ONCE.model_dump())
    write_csv(rows, tmp_path / "energy.csv")
    written = read_csv(tmp_path / "energy.csv")
    assert list(written[0]) == [
        "layer", "part", "input", "macs", "spiking_layer", "firing_rate", "rate_t1", "rate_t2", "rate_t3", "sops",
        "paper_mj", "full_mj",
    ]  # fmt: skip
    for line, row in zip(written, rows, strict=True):
        assert (line["layer"], line["part"], line["input"], line["spiking_layer"]) == (
            row.layer, row.part, row.input, row.spiking_layer,
        )  # fmt: skip
        assert int(line["macs"]) == row.macs
        assert [number(line[f"rate_t{t}"]) for t in (1, 2, 3)] == (row.rates or [None] * 3)
        assert number(line["firing_rate"]) == row.firing_rate
        assert [float(line[key]) for key in ("sops", "paper_mj", "full_mj")] == [row.sops, row.paper_mj, row.full_mj]


def test_the_table_has_a_line_a_layer_a_line_a_part_and_the_sums() -> None:
    model = small(T=2)
    rows = energy_account(model, (8, 8), fabricated(model), **ONCE.model_dump())
    lines = table(rows)
    assert len({len(line) for line in lines if line}) == 1, "the columns are aligned"
    assert [line.split()[0] for line in lines[1 : 1 + len(rows)]] == [row.layer for row in rows]
    by_name = {line[: line.index("  ")]: line.split() for line in lines if line and line[0] != " "}
    conv = next(row for row in rows if row.layer == "stages.1.0.conv2")
    assert [float(x) for x in by_name["stages.1.0.conv2"][2:]] == pytest.approx(
        [conv.macs / 1e6, *(100 * x for x in (sum(conv.rates) / 2, *conv.rates)), conv.sops / 1e6,
         1e3 * conv.paper_mj, 1e3 * conv.full_mj], abs=6e-3,
    )  # fmt: skip
    for part in ("stem", "gate", "stage 1", "stage 2", "stage 3", "shortcuts", "head", "all"):
        same = [row for row in rows if part in (row.part, "all")]
        sums = [float(x) for x in by_name[part][-4:]]
        assert sums == pytest.approx(
            [sum(row.macs for row in same) / 1e6, sum(row.sops for row in same) / 1e6,
             1e3 * sum(row.paper_mj for row in same), 1e3 * sum(row.full_mj for row in same)], abs=6e-4,
        )  # fmt: skip
