"""The command of `cloudmlops emulate vertex -- …`: the same calls by cloudmlops and by the SDK's clients, in turns."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import cloudmlops as cm
from benchmarks.engines.vertex import endpoints, features, models, pairs, runs

_TARGET = "vertex://emulated/europe-west4?bucket=bench&image=any&api_url={}"


def measured(*, calls: int) -> dict[str, Any]:
    url = os.environ["CLOUDMLOPS_EMULATOR"]
    target = _TARGET.format(url)
    with (
        tempfile.TemporaryDirectory() as scratch,
        cm.connect(target) as platform,
        cm.connect(f"{target}&dataset=direct&online_store=direct") as direct,
    ):
        folder = Path(scratch)
        sides = {
            "fetched": features.fetched(platform),
            "read_directly": features.read_directly(direct),
            "predicted": endpoints.predicted(platform, folder),
            **models.pairs(platform, folder),
            "run": runs.looked_at(platform),
        }
        return pairs.measured(sides, calls, url=url)
