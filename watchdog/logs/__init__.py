"""Reading log files: what their lines say, counted exactly, through every rotation."""
