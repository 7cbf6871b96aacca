"""Recordings, replays and rule tests."""
