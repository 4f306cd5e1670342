"""Training a network: the state, the step, the loop, and what it is measured by."""
