"""A module that cannot be imported where a variable says so."""

import os
import sys

import cloudmlops as cm

match os.environ.get("IMPORT_ENDS_WITH"):
    case "a status":
        sys.exit(0)
    case "a message":
        sys.exit("not here")
    case "an interrupt":
        raise KeyboardInterrupt


@cm.step
def one() -> int:
    return 1


@cm.pipeline
def flow() -> int:
    return one()
