"""`python -m cloudmlops.providers.vertex.running MODULE:STEP …`: a step in its container on Vertex AI.

It needs no SDK: buckets are mounted at /gcs, and what differs from run to run is filled in by Vertex AI.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cloudmlops.providers.vertex.mapping.job_names import run_of
from cloudmlops.runtime.contained import Contained, carry_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the command line names; return 0, or 1 when it failed."""
    given = _parser().parse_args(arguments)
    job = given.job.rpartition("/")[2]
    addresses = _pairs(given.uri)
    return carry_out(
        Contained(
            function=given.function,
            run=run_of(job),
            pipeline=given.pipeline,
            step=given.step,
            content=json.loads(given.content),
            values=_pairs(given.value),
            inputs={name: Path(path) for name, path in _pairs(given.input).items()},
            outputs={name: (Path(path), addresses[name]) for name, path in _pairs(given.output).items()},
            parameters={name: Path(path) for name, path in _pairs(given.parameter).items()},
            addresses=_pairs(given.address),
            record=Path(given.record),
            error=Path(given.errors, job, f"{given.step}.json"),
            source=Path(given.source) if given.source else None,
            cache=Path(given.cache) if given.cache else None,
            timeout=timedelta(seconds=given.timeout) if given.timeout else None,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloudmlops.providers.vertex.running", description="Run one step.")
    parser.add_argument("function", metavar="MODULE:STEP", help="the step's module and name")
    for name, told in (
        ("job", "full name of the pipeline job"),
        ("pipeline", "the pipeline's name"),
        ("step", "the step's name in it"),
        ("content", "JSON: what the step is made from, with the parameters that are known beforehand"),
        ("record", "folder for what is to be known of a success"),
        ("errors", "folder for what is to be known of failures"),
    ):
        parser.add_argument(f"--{name}", required=True, help=told)
    parser.add_argument("--source", help="archive of the source")
    parser.add_argument("--cache", help="folder of earlier successes by their keys")
    parser.add_argument("--timeout", type=float, help="seconds")
    for name, told in (
        ("value", "NAME=JSON: what another step supplied"),
        ("input", "NAME=PATH: where an artifact lies"),
        ("address", "NAME=URI: which address that is"),
        ("output", "NAME=PATH: where an artifact goes"),
        ("uri", "NAME=URI: which address that is"),
        ("parameter", "NAME=PATH: where a value goes, as JSON"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], help=told)
    return parser


def _pairs(given: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in given)}


if __name__ == "__main__":
    raise SystemExit(main())
