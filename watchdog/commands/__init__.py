"""The commands: those that talk to the running sidecar, and those that need none (`table.py` names them)."""
