"""The rules file is looked at, however it is changed; only what stays and can be used is taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.drawn import T0
from tests.outgoing import until
from tests.reload.conftest import MINUTE, WHOLE, Rig
from watchdog.config import Config, load
from watchdog.fields import secrets_noted
from watchdog.loading import LONGEST, Loading
from watchdog.model import Measure
from watchdog.reload import Files, Reloader, look
from watchdog.signals.settings import SettingsConfig

SECRET = WHOLE.replace('"http://127.0.0.1:9/hook"', "{file: FOLDER/secret}")
OTHER = "severity: warning"


class Desk:
    """A sidecar, its rules file, and who keeps the two in step."""

    def __init__(self, rig: Rig, rules: str) -> None:
        self.rig = rig
        self.path = rig.folder / "rules.yaml"
        (rig.folder / "secret").write_text("http://127.0.0.1:9/hook")
        self.write(rules)
        self.reads = 0
        self.broken = False
        self.meanwhile: Callable[[], object] = bool
        self.heard: list[str] = []
        self.fitted: list[Config] = []
        with secrets_noted() as secrets:
            files: Files = look([str(self.path)], {})
            rig.begin(self.read())
        self.reloader = Reloader(rig.sidecar, self.read, {**files, **look(secrets, {})}, fit=self.fit)
        self.reads = 0

    def write(self, rules: str) -> None:
        """Write the file in place."""
        self.path.write_text(rules.replace("FOLDER", str(self.rig.folder)))

    def read(self) -> Config:
        """Read it, as `watchdog run` does."""
        self.reads += 1
        config = load(self.path)
        self.meanwhile()
        if not self.broken:
            return config
        first, *rest = config.signals
        return replace(config, signals=(replace(first, config=Broken.model_construct()), *rest))

    def reloading(self) -> None:
        """Hear, as systemd does, that the file is being read."""
        self.heard.append("reloading")

    def reloaded(self) -> None:
        """Hear that this is over."""
        self.heard.append("reloaded")

    async def fit(self, config: Config) -> None:
        """Have what is beside the sidecar fit."""
        self.fitted.append(config)

    @property
    def severities(self) -> set[str]:
        """Return what the rules in force say."""
        return {str(rule.severity) for rule in self.rig.sidecar.config.rules}

    async def look(self, times: int = 2) -> None:
        """Look at the files; what has changed is taken with the second look."""
        for _ in range(times):
            await self.reloader.glance()


@pytest.fixture
def begin(rig: Rig) -> Callable[..., Desk]:
    """Begin to watch by a file."""

    def begin(rules: str = WHOLE) -> Desk:
        return Desk(rig, rules)

    return begin


def in_place(desk: Desk, text: str) -> None:
    """Write over it."""
    desk.write(text)


def renamed_over(desk: Desk, text: str) -> None:
    """Put another file in its place, as editors do."""
    other = desk.path.with_suffix(".new")
    other.write_text(text.replace("FOLDER", str(desk.rig.folder)))
    other.replace(desk.path)


def behind_a_link(desk: Desk, text: str) -> None:
    """Have a link lead to another folder, as Kubernetes does with a ConfigMap."""
    folder = desk.rig.folder
    for number, said in (("1", desk.path.read_text()), ("2", text.replace("FOLDER", str(folder)))):
        (folder / number).mkdir()
        (folder / number / "rules.yaml").write_text(said)
    (folder / "..data").symlink_to("1")
    desk.path.unlink()
    desk.path.symlink_to("..data/rules.yaml")
    (folder / "..new").symlink_to("2")
    (folder / "..new").replace(folder / "..data")


@pytest.mark.parametrize("way", [in_place, renamed_over, behind_a_link], ids=lambda way: str(way.__name__))
async def test_a_change_is_taken_however_it_comes(
    begin: Callable[..., Desk], way: Callable[..., None]
) -> None:
    """Nobody has to ask for it."""
    desk = begin()
    way(desk, WHOLE.replace("severity: critical", OTHER))
    await desk.look(1)
    assert desk.severities == {"critical"}
    await desk.look(1)
    assert [{str(rule.severity) for rule in config.rules} for config in desk.fitted] == [{"warning"}]
    assert desk.rig.sidecar.loading.well


async def test_what_says_the_same_is_not_read_again(begin: Callable[..., Desk]) -> None:
    """Though it was touched, written anew or renamed."""
    desk = begin()
    in_place(desk, WHOLE)
    renamed_over(desk, WHOLE)
    await desk.look(3)
    assert desk.reads == 0


async def test_a_file_that_is_half_written_raises_no_alarm(begin: Callable[..., Desk]) -> None:
    """It is another one at each look, until it is whole."""
    desk = begin()
    whole = WHOLE.replace("severity: critical", OTHER)
    with capture_logs() as logs:
        for end in range(40, len(whole), 40):
            in_place(desk, whole[:end])
            await desk.look(1)
        in_place(desk, whole)
        await desk.look()
    assert [line["event"] for line in logs if line["event"].startswith("config")] == ["config_loaded"]


@pytest.mark.parametrize(
    "bad", ["services: [", "", WHOLE.replace("severity", "svrity")], ids=["no YAML", "empty", "a slip"]
)
async def test_a_bad_file_is_said_to_be_one_until_it_is_put_back(
    begin: Callable[..., Desk], bad: str
) -> None:
    """What is in force stays so; the old text put back is no change, but ends the alarm."""
    desk = begin()
    sidecar = desk.rig.sidecar
    config = sidecar.config
    in_place(desk, bad)
    await desk.look()
    reads, loading = desk.reads, sidecar.loading
    assert not loading.well
    await desk.look(3)
    assert (sidecar.config, desk.reads, desk.fitted, sidecar.loading) == (config, reads, [], loading)
    assert all(problem.startswith(f"{desk.path}:") for problem in loading.problems)
    in_place(desk, WHOLE)
    await desk.look()
    assert (sidecar.loading.well, sidecar.config is config, desk.fitted) == (True, True, [])


def test_what_is_said_of_a_bad_file_is_harmless_and_dated_from_the_first() -> None:
    """Its words come from outside; that it is bad since when does not move with every look at it."""
    once = Loading(T0).refused(T0 + MINUTE, ["bad\x1b[31m\n" + 999 * "x"])
    twice = once.refused(T0 + 2 * MINUTE, ["worse"])
    assert "\x1b" not in once.problems[0]
    assert "\n" not in once.problems[0]
    assert len(once.problems[0]) == LONGEST
    assert (twice.problems, twice.refused_at, twice.loaded_at) == (("worse",), T0 + MINUTE, T0)


async def test_a_file_that_is_gone_is_a_bad_one(begin: Callable[..., Desk]) -> None:
    """Not a reason to stop."""
    desk = begin()
    desk.path.unlink()
    await desk.look()
    assert "cannot be read" in desk.rig.sidecar.loading.problems[0]


async def test_a_secret_in_a_file_of_its_own_is_looked_at_too(begin: Callable[..., Desk]) -> None:
    """It is taken when it changes, missed when it is gone, and never shown."""
    desk = begin(SECRET)
    secret = desk.rig.folder / "secret"
    secret.write_text("http://127.0.0.1:9/swordfish")
    await desk.look()
    assert len(desk.fitted) == 1
    with capture_logs() as logs:
        secret.write_text("ftp:swordfish")
        await desk.look()
    assert not desk.rig.sidecar.loading.well
    assert "swordfish" not in str(logs) + str(desk.rig.sidecar.loading)
    secret.write_text("http://127.0.0.1:9/other")
    await desk.look()
    assert desk.rig.sidecar.loading.well


async def test_who_asks_is_not_kept_waiting(begin: Callable[..., Desk]) -> None:
    """SIGHUP reads the file though nothing was touched, and finds nothing to change."""
    desk = begin()
    with capture_logs() as logs:
        desk.reloader.start()
        desk.reloader.ask()
        await until(lambda: any(line["event"] == "config_unchanged" for line in logs))
        await desk.reloader.stop()
    assert (desk.reads, desk.fitted) == (1, [])


async def test_the_sidecar_goes_on_while_a_file_is_read(begin: Callable[..., Desk]) -> None:
    """However long that takes: a big file must not hold up a tick."""
    desk, go_on = begin(), threading.Event()
    seen: list[bool] = []
    desk.meanwhile = lambda: seen.append(go_on.wait(5))
    in_place(desk, WHOLE.replace("critical", "warning"))
    reading = asyncio.create_task(desk.reloader.reload())
    await until(lambda: desk.reads)
    assert desk.severities == {"critical"}
    go_on.set()
    await reading
    assert (seen, desk.severities) == ([True], {"warning"})


async def test_what_changes_while_the_file_is_read_is_taken_next(begin: Callable[..., Desk]) -> None:
    """What was read is in force, and what is there by now is seen to be something else."""
    desk = begin()
    desk.meanwhile = lambda: in_place(desk, WHOLE.replace("critical", "info"))
    in_place(desk, WHOLE.replace("critical", "warning"))
    await desk.reloader.reload()
    assert desk.severities == {"warning"}
    desk.meanwhile = bool
    await desk.look()
    assert desk.severities == {"info"}


async def test_who_ask_at_once_are_answered_one_after_the_other(begin: Callable[..., Desk]) -> None:
    """SIGHUP and two requests: the file is never read twice at a time, and systemd hears of each."""
    desk = begin()
    desk.reloader._manager = desk
    await asyncio.gather(*(desk.reloader.reload() for _ in range(3)))
    assert desk.heard == ["reloading", "reloaded"] * 3


async def test_a_failure_of_ours_while_reading_is_told_and_hurts_nobody(begin: Callable[..., Desk]) -> None:
    """Not with its own words, which may hold a secret; and not once more until the file is another one."""
    desk = begin()

    def fail() -> None:
        raise RuntimeError("swordfish")

    desk.meanwhile = fail
    with capture_logs() as logs:
        desk.reloader.start()
        desk.reloader.ask()
        await until(lambda: not desk.rig.sidecar.loading.well)
        desk.meanwhile = bool
        desk.reloader.ask()
        await until(lambda: desk.rig.sidecar.loading.well)
        await desk.reloader.stop()
    assert "swordfish" not in str(logs) + str(desk.rig.sidecar.loading)
    assert "load_failed" in [line["event"] for line in logs]


async def test_a_failure_beside_the_sidecar_ends_no_watch(begin: Callable[..., Desk]) -> None:
    """The file is in force, the log says where it failed, and the next change is taken as any other."""
    desk = begin()

    async def fail(_: Config) -> None:
        raise RuntimeError("swordfish")

    fit, desk.reloader._fit = desk.reloader._fit, fail
    with capture_logs() as logs:
        desk.reloader.start()
        in_place(desk, WHOLE.replace("critical", "warning"))
        desk.reloader.ask()
        await until(lambda: any(line["event"] == "reload_failed" for line in logs))
        desk.reloader._fit = fit
        in_place(desk, WHOLE.replace("critical", "info"))
        desk.reloader.ask()
        await until(lambda: desk.fitted)
        await desk.reloader.stop()
    assert (desk.severities, "swordfish" in str(logs)) == ({"info"}, False)


async def test_what_cannot_change_while_it_runs_stays_and_is_told(begin: Callable[..., Desk]) -> None:
    """`listen` and `state` wait for the next start; that is no error, and all else is taken."""
    desk = begin()
    before = desk.rig.sidecar.config
    in_place(desk, WHOLE.replace("critical", "warning") + "listen: 127.0.0.1:9999\nstate: other.db\n")
    await desk.look()
    assert desk.severities == {"warning"}
    loading = desk.rig.sidecar.loading
    assert loading.well
    assert loading.at_restart == (
        "listen: 127.0.0.1:9999 takes effect at the next start, until then it is 127.0.0.1:9821",
        "state: other.db takes effect at the next start, until then it is watchdog.db",
    )
    now = desk.rig.sidecar.config
    assert (now.listen, now.state, now.link) == (before.listen, before.state, before.link)
    in_place(desk, WHOLE + "listen: 127.0.0.1:9999\nlink: http://there\n")
    await desk.look()
    assert (desk.severities, desk.rig.sidecar.config.link) == ({"critical"}, "http://there")
    in_place(desk, WHOLE)
    await desk.look()
    assert not desk.rig.sidecar.loading.at_restart


async def test_a_change_that_fails_inside_changes_nothing(begin: Callable[..., Desk]) -> None:
    """Nothing that a file says may end the process; what went wrong is in the log, without its words."""
    desk = begin()
    sidecar = desk.rig.sidecar
    config, signals, rules = sidecar.config, sidecar.fleet.signals, sidecar.fleet.binding
    desk.broken = True
    in_place(desk, WHOLE.replace("critical", "warning"))
    with capture_logs() as logs:
        await desk.look()
    assert "please report it" in sidecar.loading.problems[0]
    assert "swordfish" not in str(logs)
    assert (sidecar.config, sidecar.fleet.signals, sidecar.fleet.binding) == (config, signals, rules)
    await desk.rig.tick(a="test")
    assert desk.rig.told() == ["Wrong a first"]


class Broken(SettingsConfig):
    """A signal that cannot be told what it offers."""

    def offered(self) -> Mapping[str, Measure]:
        """Fail, as a signal of somebody else's may."""
        raise RuntimeError("swordfish")
