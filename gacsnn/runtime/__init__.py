"""What a run stands on: device, console, signals, files, and the run directory."""
