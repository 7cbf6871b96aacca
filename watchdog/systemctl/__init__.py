"""Units: what systemd says of them, what that means, and why one fails."""
