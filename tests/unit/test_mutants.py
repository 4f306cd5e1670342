"""The faults of tests/mutants.py: they still apply, and the script says truly what came of them."""
