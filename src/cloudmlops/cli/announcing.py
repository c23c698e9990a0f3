"""Publish the end of a run that outlived whoever started it: `python -m cloudmlops.cli.announcing TARGET RUN`.

The run's process becomes this one when it has recorded how it ended. Whoever looks at the run later would publish it
too; the event is the same one.
"""

from __future__ import annotations

import sys

from cloudmlops._platform import connect


def main() -> None:
    """Look at the run, which publishes its end."""
    target, run = sys.argv[1:]
    with connect(target) as platform:
        platform.pipelines.get(run)


if __name__ == "__main__":
    main()
