"""What a step costs beside its convolutions: the paths that `task=benchmark` compares, and how they are timed and counted."""
