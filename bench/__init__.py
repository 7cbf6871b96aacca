"""What the watchdog costs, measured beside the tools people use today."""
