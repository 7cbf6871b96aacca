"""`python -m watchdog` is `watchdog`."""

from watchdog.cli import main

main()
