"""Numbers as a run says them."""

from gacsnn.runtime.console import rate


def test_a_slow_rate_keeps_its_decimals() -> None:
    said = [rate(value) for value in (1234.5, 10.2, 9.96, 9.94, 3.42, 0.0346)]
    assert said == [f"{shown} images/s" for shown in ("1,234", "10", "10", "9.9", "3.4", "0.035")]
