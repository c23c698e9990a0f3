"""`cloudmlops models`, `approve`, `promote`, `rollback` and `history`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.domain.models import Stage

if TYPE_CHECKING:
    from cloudmlops.domain.ledger import Entry
    from cloudmlops.domain.models import ModelVersion
    from cloudmlops.services.registry.health import Verification

_STAGES = click.Choice([stage.value for stage in Stage if stage is not Stage.NONE])


@click.group()
def models() -> None:
    """List, inspect, tag and download model versions."""


@models.command("list")
@click.argument("name", required=False)
@click.option("--stage", type=click.Choice([stage.value for stage in Stage]), help="Only versions in this stage.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Only versions with this tag; may be repeated.")
@session_options
def list_versions(session: Session, name: str | None, stage: str | None, tags: tuple[str, ...]) -> None:
    """List the versions of model NAME, or of all models."""
    found = session.platform.models.list(name, stage=stage, tags=_pairs(tags))
    columns = ("model", "version", "stage", "registered_by", "registered_at", "run")
    session.table("models", columns, [_version(version) for version in found])


@models.command("show")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--stage", type=_STAGES, help="Instead of VERSION: the one that is in this stage.")
@session_options
def show(session: Session, name: str, version: str | None, stage: str | None) -> None:
    """Show one version of model NAME; without VERSION and --stage, the one in production."""
    found = session.platform.models.get(name, version, stage=stage or (None if version else Stage.PRODUCTION))
    session.record(str(found), _version(found))


@models.command("register")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--run", metavar="ID", help="The run that made it.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="May be repeated.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option(
    "--card", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A Markdown file for people."
)
@click.option("--request", metavar="KEY", help="The same key again is the same version.")
@session_options
def register(
    session: Session,
    name: str,
    folder: Path,
    run: str | None,
    metrics: tuple[str, ...],
    tags: tuple[str, ...],
    card: Path | None,
    request: str | None,
) -> None:
    """Register FOLDER, which is in MLflow's model format, as a new version of model NAME."""
    registered = session.platform.models.register(
        name,
        folder,
        run=run,
        metrics=_numbers(metrics),
        tags=_pairs(tags),
        card=card.read_text(encoding="utf-8") if card else "",
        request=request,
    )
    session.record(str(registered), _version(registered))


@models.command("tag")
@click.argument("name")
@click.argument("version")
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@session_options
def tag(session: Session, name: str, version: str, tags: tuple[str, ...]) -> None:
    """Set tags of a version; others stay."""
    tagged = session.platform.models.tag(name, version, _pairs(tags))
    session.record(str(tagged), _version(tagged))


@models.command("untag")
@click.argument("name")
@click.argument("version")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@session_options
def untag(session: Session, name: str, version: str, keys: tuple[str, ...]) -> None:
    """Remove tags of a version."""
    untagged = session.platform.models.untag(name, version, keys)
    session.record(str(untagged), _version(untagged))


@models.command("download")
@click.argument("name")
@click.argument("version")
@click.argument("folder", type=click.Path(path_type=Path))
@session_options
def download(session: Session, name: str, version: str, folder: Path) -> None:
    """Write a version's files into FOLDER, which must be empty or not there, and check their digests."""
    written = session.platform.models.download(name, version, to=folder)
    session.record(f"{name}@{version}", {"folder": written})


@models.command("delete")
@click.argument("name")
@click.argument("version")
@click.option("--reason", default="", help="Why, for the record.")
@session_options
def delete(session: Session, name: str, version: str, reason: str) -> None:
    """Remove a version's files; the ledger keeps its history. One in production is refused."""
    session.platform.models.delete(name, version, reason=reason)
    session.record(f"{name}@{version}", {"deleted": True})


@models.command("verify")
@click.argument("name")
@session_options
def verify(session: Session, name: str) -> None:
    """Read all records of model NAME and report what is wrong; exit code 1 if anything is."""
    _report(session, session.platform.models.verify(name))


@models.command("repair")
@click.argument("name")
@session_options
def repair(session: Session, name: str) -> None:
    """Set right what can be in the records of model NAME; exit code 1 if anything stays wrong."""
    _report(session, session.platform.models.repair(name))


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--to", "stage", type=_STAGES, default=Stage.PRODUCTION.value, show_default=True)
@click.option("--reason", default="", help="Why, for the record.")
@session_options
def approve(session: Session, name: str, version: str, stage: str, reason: str) -> None:
    """Approve a model version for a stage, under your own name."""
    entry = session.platform.models.approve(name, version, to=stage, reason=reason)
    shown = _entry(entry)
    session.record(f"{name}@{version}", {part: shown[part] for part in ("sequence", "what", "actor", "at", "reason")})


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--to", "stage", type=_STAGES, required=True)
@click.option("--expect", metavar="VERSION", help="Refuse unless this version is in production; '' for none.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="Evidence; may be repeated.")
@click.option("--baseline", multiple=True, metavar="NAME=NUMBER", help="What to beat; may be repeated.")
@click.option("--run", metavar="ID", help="Evidence: the run that measured.")
@click.option("--report", "reports", multiple=True, metavar="URI", help="Evidence: a report; may be repeated.")
@session_options
def promote(
    session: Session,
    name: str,
    version: str,
    stage: str,
    expect: str | None,
    reason: str,
    metrics: tuple[str, ...],
    baseline: tuple[str, ...],
    run: str | None,
    reports: tuple[str, ...],
) -> None:
    """Move a model version to a stage."""
    given: dict[str, Any] = {
        "metrics": _numbers(metrics),
        "baseline": _numbers(baseline),
        "run": run,
        "reports": reports,
    }
    evidence = given if any(given.values()) else None
    moved = session.platform.models.promote(name, version, to=stage, expect=expect, reason=reason, evidence=evidence)
    session.record(str(moved), _version(moved))


@click.command()
@click.argument("name")
@click.option("--expect", metavar="VERSION", help="Refuse unless this version is in production; '' for none.")
@click.option("--reason", default="", help="Why, for the record.")
@session_options
def rollback(session: Session, name: str, expect: str | None, reason: str) -> None:
    """Bring back the version that was in production before."""
    back = session.platform.models.rollback(name, reason=reason, expect=expect)
    session.record(str(back), _version(back))


@click.command()
@click.argument("name")
@session_options
def history(session: Session, name: str) -> None:
    """Show who did what to model NAME's versions, when and why, and check that nobody changed it since."""
    entries = session.platform.models.history(name)
    session.table(
        "history", ("sequence", "at", "actor", "kind", "what", "reason"), [_entry(entry) for entry in entries]
    )


def _report(session: Session, found: Verification) -> None:
    if session.as_json:
        session.record(found.model, _plain(found) | {"ok": found.ok})
    else:
        session.record(found.model, {"entries": found.entries, "digest": found.digest, "ok": found.ok})
        for done in found.repaired:
            session.note(f"repaired: {done}")
        for problem in found.problems:
            session.note(f"{problem.fault.value}: {problem.message}")
    if not found.ok:
        raise SystemExit(1)


def _version(version: ModelVersion) -> dict[str, object]:
    return _plain(version) | {"registered_by": str(version.registered_by), "registered_at": version.registered_at}


def _entry(entry: Entry) -> dict[str, object]:
    moves = "; ".join(f"{version}: {start.value} → {end.value}" for version, start, end in entry.changes)
    tags = ", ".join([*(f"{name}={value}" for name, value in entry.tags.items()), *(f"-{n}" for n in entry.untagged)])
    approved = f" for {entry.approved_stage.value}" if entry.approved_stage else ""
    what = moves or f"{entry.version or ''}{approved} {tags}".strip()
    return _plain(entry) | {"actor": str(entry.actor), "at": entry.at, "what": what}


def _plain(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise click.BadParameter(f"{', '.join(map(repr, wrong))}: write KEY=VALUE")
    return {name: value for name, _, value in pairs}


def _numbers(given: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in _pairs(given).items()}
    except ValueError as error:
        raise click.BadParameter(f"{error}: write NAME=NUMBER") from error
