"""Packages as others would install them: one that is right, and as many broken ones as a test needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / "docs" / "examples" / "plugin"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the template and install it as pip does, into a folder of its own; return that."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    told = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(folder), str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return folder


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what installs a package of one module: its entry points are there while the test lasts."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(package: str, code: str, *, signals: str = "", receivers: str = "") -> None:
        (tmp_path / f"{package}.py").write_text(code)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        groups = {"pipeline_watchdog.signals": signals, "pipeline_watchdog.receivers": receivers}
        points = [f"[{group}]\n{told}\n" for group, told in groups.items() if told]
        (about / "entry_points.txt").write_text("\n".join(points))

    return installed
