"""Killed at 200 random moments, in front of receivers that fail at random: nothing is lost, nothing told twice."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tests.reliability.campaign import BADNESS, campaign
from tests.reliability.receivers import FAULTS

KILLS = 200


async def test_whatever_was_raised_is_delivered_though_killed_at_random_moments(tmp_path: Path) -> None:
    """Every transition of the model run reaches every receiver, in order; doubles carry the same key."""
    seed = int(os.environ.get("RELIABILITY_SEED") or secrets.randbelow(1_000_000))
    figures = await campaign(tmp_path, seed, KILLS)
    assert figures.wrong == [], f"RELIABILITY_SEED={seed}\n{figures}"
    # and it was put to the test
    assert figures.transitions > KILLS, figures
    assert figures.ends["with messages left by its forerunner"] > KILLS / 4, figures
    assert figures.faults.keys() == FAULTS.keys(), figures
    assert figures.accounts.keys() == BADNESS.keys(), figures
    assert all(account.doubles for account in figures.accounts.values()), figures
