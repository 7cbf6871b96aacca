"""What `watchdog demo` brings along: a server of its own and a supervisor for the reference pipeline."""
