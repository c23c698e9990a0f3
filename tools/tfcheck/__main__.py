"""Check Terraform files offline, by the real terraform: `python -m tools.tfcheck check terraform`.

`check` runs fmt, init, validate and test over every folder of a tree, with stand-ins for the providers at both ends of
the recorded versions; 1 is returned when anything failed, and when terraform is missing. `env` prints the variables for
terraform by hand: `eval "$(python -m tools.tfcheck env)"`. `record` reads schemas out of wheels.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.tfcheck.checks import ENDS, End, TerraformMissingError, check, providers
from tools.tfcheck.mirror import lay_out
from tools.tfcheck.record import record


def main() -> int:
    """Return 0 when all passed."""
    parser = argparse.ArgumentParser(prog="python -m tools.tfcheck", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="check every folder of a tree")
    checking.add_argument("tree", type=Path)
    checking.add_argument("--end", choices=ENDS, action="append", help="versions of providers (default: both ends)")
    checking.add_argument("--only", action="append", default=[], metavar="FOLDER", help="below the tree")
    checking.add_argument("--no-tests", action="store_true", help="leave terraform test out")
    by_hand = commands.add_parser("env", help="print the variables for terraform by hand")
    by_hand.add_argument("--end", choices=ENDS, default="newest")
    recording = commands.add_parser("record", help="read schemas out of cdktn-provider-* wheels")
    recording.add_argument("wheels", nargs="+", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        return record(given.wheels)
    if given.command == "env":
        folder = Path(tempfile.gettempdir()) / f"tfcheck-{os.getuid()}-{given.end}"
        for name, value in lay_out(folder, providers(given.end)).items():
            print(f"export {name}={shlex.quote(value)}")
        return 0
    return _check(given.tree, given.end or ENDS, only=given.only, tests=not given.no_tests)


def _check(tree: Path, ends: Sequence[End], *, only: Sequence[str], tests: bool) -> int:
    failed = passed = 0
    for end in ends:
        versions = ", ".join(sorted({f"{one.name} {one.version}" for one in reversed(providers(end))}))
        print(f"with {end} of {versions}", flush=True)
        try:
            for result in check(tree, end=end, only=only, tests=tests):
                print(f"{'ok  ' if result.passed else 'FAIL'} {result.folder} {result.said}".rstrip(), flush=True)
                passed += result.passed
                failed += not result.passed
        except TerraformMissingError as error:
            print(error)
            return 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
