"""`cloudmlops doctor`: is everything there, and what to do when it is not."""

from __future__ import annotations

import platform as python
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloudmlops.cli.packages import missing_packages
from cloudmlops.cli.session import Session, session_options
from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.errors import CloudMLOpsError, UnsupportedError

if TYPE_CHECKING:
    from cloudmlops._platform import Platform

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 35, 0)
"""The first with RETURNING."""
LEAST_FREE_GIB: Final = 1.0
_LOCAL: Final = "local"
_LOOKED_AT: Final = ("pipelines.list", "endpoints.list", "endpoints.status", "models.verify", "events.dead_letters")
"""What the checks of a platform do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check saw."""

    check: str
    ok: bool
    found: str
    fix: str = ""
    """What to do; empty when all is well."""


@click.command()
@session_options
def doctor(session: Session) -> None:
    """Check Python, packages, the platform's folder and database, what settings name, endpoints, runs and ledgers.

    Exits with 1 when a check fails; each failure names what to do.
    """
    findings = [*_installation(_extra(session)), *_platform(session)]
    if session.as_json:
        session.table(
            "Checks",
            ("check",),
            [{"check": one.check, "ok": one.ok, "found": one.found, "fix": one.fix} for one in findings],
        )
    else:
        for one in findings:
            click.echo(f"{_mark(one.ok)} {one.check}: {one.found}" + (f"\n    {one.fix}" if one.fix else ""))
    failed = sum(not one.ok for one in findings)
    session.note(f"\n{failed} of {len(findings)} checks failed." if failed else f"\nAll {len(findings)} checks passed.")
    sys.exit(1 if failed else 0)


def _mark(ok: bool) -> str:
    return click.style("ok  ", fg="green") if ok else click.style("FAIL", fg="red", bold=True)


def _extra(session: Session) -> str:
    try:
        return session.extra
    except CloudMLOpsError:
        return _LOCAL  # what is wrong with the target is a finding of its own


def _installation(extra: str) -> Iterator[Finding]:
    yield Finding(
        check="Python",
        ok=sys.version_info >= OLDEST_PYTHON,
        found=f"{python.python_version()} at {sys.executable}",
        fix="" if sys.version_info >= OLDEST_PYTHON else "cloudmlops needs Python 3.11 or newer.",
    )
    missing = [*missing_packages(extra)]
    yield Finding(
        check=f"Packages of cloudmlops[{extra}]",
        ok=not missing,
        found=f"cloudmlops {version('cloudmlops')}, " + (f"missing: {', '.join(missing)}" if missing else "all there"),
        fix=f'pip install "cloudmlops[{extra}]"' if missing else "",
    )
    if extra != _LOCAL:
        return
    new_enough = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    yield Finding(
        check="SQLite",
        ok=new_enough,
        found=sqlite3.sqlite_version,
        fix="" if new_enough else "Use a Python that was built with SQLite 3.35 or newer.",
    )


def _platform(session: Session) -> Iterator[Finding]:
    try:
        opened = session.platform
        folder = opened.native
    except CloudMLOpsError as error:
        yield Finding(check="Target", ok=False, found=error.message, fix=error.hint)
        return
    yield Finding(check="Target", ok=True, found=opened.target)
    if isinstance(folder, Path):
        yield from _folder(folder)
    for one in opened.check_settings():
        yield Finding(
            check=f"Setting {one.setting}",
            ok=not one.fault,
            found=f"{one.name}: {one.fault or one.found}",
            fix=one.fix,
        )
    checks: dict[str, Callable[[Platform], Finding]] = {
        "Runs": _runs,
        "Endpoints": _endpoints,
        "Ledgers": _ledgers,
        "Events": _dead_letters,
    }
    if opened.capabilities.of(Capability.ACCESS_CONTROL) is not Support.ABSENT:
        checks = {"Access": _access, **checks}
    for name, check in checks.items():
        try:
            yield check(opened)
        except UnsupportedError as error:
            yield Finding(check=name, ok=True, found=error.message)
        except CloudMLOpsError as error:
            yield Finding(check=name, ok=False, found=error.message, fix=error.hint or "Read the message above.")


def _folder(folder: Path) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as scratch:
            database = sqlite3.connect(Path(scratch) / "check.db")
            mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            database.close()
    except (OSError, sqlite3.Error) as error:
        yield Finding(
            check="Folder", ok=False, found=f"{folder} cannot be written to: {error}", fix="Name another folder."
        )
        return
    yield Finding(check="Folder", ok=True, found=f"{folder} can be written to")
    yield Finding(
        check="Write-ahead log",
        ok=mode == "wal",
        found=f"SQLite keeps {'one' if mode == 'wal' else 'none'} in that folder",
        fix="" if mode == "wal" else "Put the platform on a local disk: network file systems cannot share its memory.",
    )
    free = shutil.disk_usage(folder).free / 2**30
    yield Finding(
        check="Free disk",
        ok=free >= LEAST_FREE_GIB,
        found=f"{free:.1f} GiB",
        fix="" if free >= LEAST_FREE_GIB else f"Free at least {LEAST_FREE_GIB:.0f} GiB on the disk of {folder}.",
    )


def _access(opened: Platform) -> Finding:
    missing = opened.check_access(_LOOKED_AT)
    names = dict.fromkeys(
        f"{gap.permission.name}{f' (not known: {gap.unknown})' if gap.unknown else ''}" for gap in missing
    )
    roles = dict.fromkeys(str(gap.permission.role) for gap in missing if gap.permission.role)
    native = dict.fromkeys(gap.permission.native_role for gap in missing if gap.permission.native_role)
    which = f", there called {' and '.join(native)}" if native else ""
    return Finding(
        check="Access",
        ok=not missing,
        found=f"missing: {', '.join(names)}" if missing else "all that these checks need",
        fix=f"Ask for the role {' and '.join(roles)}{which} (docs/access.md)." if missing else "",
    )


def _runs(opened: Platform) -> Finding:
    runs = opened.pipelines.list()
    stale = [run.id for run in runs if run.status == "interrupted"]
    return Finding(
        check="Runs",
        ok=not stale,
        found=f"{len(runs)}, of which {len(stale)} interrupted" + (f": {', '.join(stale)}" if stale else ""),
        fix="".join(f"cloudmlops runs resume {run}\n    " for run in stale).rstrip(),
    )


def _endpoints(opened: Platform) -> Finding:
    statuses = [opened.endpoints.status(name) for name in (one.name for one in opened.endpoints.list())]
    ill = [
        f"{status.name}/{deployment.name} is {deployment.state}"
        for status in statuses
        for deployment in status.deployments
        if deployment.state in ("degraded", "down", "failed")
    ]
    return Finding(
        check="Endpoints",
        ok=not ill,
        found=f"{len(statuses)}" + (f": {', '.join(ill)}" if ill else ""),
        fix="A prediction revives what is down; read why with: cloudmlops endpoints logs ENDPOINT" if ill else "",
    )


def _ledgers(opened: Platform) -> Finding:
    names = opened.models.names()
    broken = [name for name in names if not opened.models.verify(name).ok]
    return Finding(
        check="Ledgers",
        ok=not broken,
        found=f"{len(names)} models" + (f"; damaged: {', '.join(broken)}" if broken else ", every chain is whole"),
        fix="\n    ".join(
            f"Say what is wrong: cloudmlops models verify {name}; set right: cloudmlops models repair {name}"
            for name in broken
        ),
    )


def _dead_letters(opened: Platform) -> Finding:
    letters = opened.events.dead_letters()
    return Finding(
        check="Events",
        ok=not letters,
        found=f"{len(letters)} dead letters",
        fix="cloudmlops events dead-letters" if letters else "",
    )
