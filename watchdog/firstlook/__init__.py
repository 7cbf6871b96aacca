"""`watchdog init`: what one look at a Redis shows, what that lets one guess, and the file that says so."""
