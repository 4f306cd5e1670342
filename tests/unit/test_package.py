"""What a plain `import gacsnn` brings."""


def test_submodules_are_there_after_a_plain_import() -> None:
    import gacsnn

    assert set(gacsnn.encoders.ENCODERS) >= {"gac", "direct", "poisson", "latency", "phase"}
    assert set(gacsnn.encoders.CODES) >= {"poisson", "latency", "phase"}
