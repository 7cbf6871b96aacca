"""Learned silence, measured: how soon a death is told, and how often the living are taken for dead."""
