from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.service import Service, Surroundings


class JustRedis:
    """An emulated cloud of nothing but Redis."""

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        self.redis = Redis(surroundings)
        return (self.redis.service(),)

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {}

    def reset(self) -> None:
        self.redis.door.lose_answers(0)


Started = Callable[..., Redis]


@contextmanager
def running(path: str | None = None, state: Path | None = None) -> Iterator[Redis]:
    """Run Redis; `path` says where programs are looked for."""
    with pytest.MonkeyPatch.context() as environment:
        if path is not None:
            environment.setenv("PATH", path)
        cloud = JustRedis()
        emulator = Emulator([cloud], state=state)
        emulator.begin()
    try:
        yield cloud.redis
    finally:
        emulator.__exit__(None, None, None)


@pytest.fixture
def started() -> Iterator[Started]:
    """Runs Redis until the end of the test, as `running` does."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(running(**options))


@pytest.fixture
def system() -> str:
    """The system's redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the system has no redis-server: only the substitute is tested (apt-get install redis-server)")
    return program


@pytest.fixture(params=["redis-server", "substitute"])
def redis(request: pytest.FixtureRequest, started: Started) -> Redis:
    """Redis beside the emulator: the system's own and the substitute, in turn."""
    if request.param == "substitute":
        return started(path="")
    request.getfixturevalue("system")
    return started()
