"""What a run is: every option, how configs are read, written, merged and compared. Neither Hydra nor torch."""
