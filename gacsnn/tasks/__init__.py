"""What the program can do: a file a task, as in `conf/task/`. Each has `run(config, overridden, on_epoch_end)`."""
