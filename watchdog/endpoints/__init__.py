"""Health endpoints: one question before one deadline, and what the answer holds."""
