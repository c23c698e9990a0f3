from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudmlops as cm
from cloudmlops.domain.access import Role
from cloudmlops.testing.contract.access import AccessContract

NOBODY = 65534


class TestAccessOnLocal(AccessContract):
    pass


@contextmanager
def not_as_root() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_made() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        platform = cm.connect(f"local://{folder}/platform")

        with not_as_root():
            missing = platform.check_access(["models.get", "models.promote"])

        assert [(gap.verb, gap.permission.role) for gap in missing] == [("models.promote", Role.DEPLOYER)]
        assert list(Path(folder).iterdir()) == []
