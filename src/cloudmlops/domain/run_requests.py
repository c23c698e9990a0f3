"""Requests of runs as JSON, for whoever keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.domain.graph import graph_from_json, graph_to_json
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.runs import RunRequest, SourceRoot, SourceSnapshot


def request_to_json(request: RunRequest) -> dict[str, Any]:
    """Write a request as a JSON object."""
    lineage = asdict(request.lineage)
    lineage["started_at"] = request.lineage.started_at.isoformat()
    return {
        "id": request.id,
        "graph": graph_to_json(request.graph),
        "source": asdict(request.source),
        "lineage": lineage,
        "packages_digest": request.packages_digest,
        "cache": request.cache,
        "compiled": request.compiled,
        "written_for": request.written_for,
        "written_in": request.written_in,
        "announce": list(request.announce),
    }


def request_from_json(fields: Mapping[str, Any]) -> RunRequest:
    """Read what `request_to_json` wrote."""
    lineage = dict(fields["lineage"])
    lineage["started_at"] = datetime.fromisoformat(lineage["started_at"])
    lineage["actor"] = Actor(id=lineage["actor"]["id"], kind=ActorKind(lineage["actor"]["kind"]))
    source = fields["source"]
    return RunRequest(
        id=fields["id"],
        graph=graph_from_json(fields["graph"]),
        source=SourceSnapshot(
            digest=source["digest"],
            roots=tuple(SourceRoot(path=root["path"], files=tuple(root["files"])) for root in source["roots"]),
        ),
        lineage=Lineage(**lineage),
        packages_digest=fields["packages_digest"],
        cache=fields["cache"],
        compiled=fields.get("compiled", ""),
        written_for=fields.get("written_for", "vertex" if fields.get("compiled") else ""),
        written_in=fields.get("written_in", ""),
        announce=tuple(fields["announce"]),
    )
