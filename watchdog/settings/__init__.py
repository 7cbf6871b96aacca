"""Env files: what they say as systemd reads them, what they must say, and whether a process knows it."""
