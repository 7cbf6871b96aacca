"""What is published, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.wheels import ROOT, Installed, build, install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A venv with that wheel."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")
