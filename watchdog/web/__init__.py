"""What the sidecar shows over HTTP."""
