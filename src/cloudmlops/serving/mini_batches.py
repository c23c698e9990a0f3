"""The scoring script of Azure ML's batch endpoints: `init` and `run`, as its batch driver calls them.

A file of a mini batch is scored as `python -m cloudmlops.serving --batch` scores it. Where the driver wants what a
script writes by itself (`AZUREML_BI_OUTPUT_PATH`), there is then `scored.parquet` or `scored.jsonl`, by the ending that
`CLOUDMLOPS_BATCH_OUTPUT` names; or `refused.json` with the reason, if the file or its rows do not fit the model.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cloudmlops.errors import InvalidRequestError
from cloudmlops.runtime.untracked import untracked
from cloudmlops.serving.batch import score_file

SCORED: Final = "scored"
REFUSED: Final = "refused.json"


def init() -> None:
    """Check that the driver says where the model is and where results go; each file loads the model anew."""
    os.environ |= untracked(os.environ)
    for name in ("AZUREML_MODEL_DIR", "AZUREML_BI_OUTPUT_PATH", "CLOUDMLOPS_BATCH_OUTPUT"):
        if not os.environ.get(name):
            raise RuntimeError(f"the variable {name} is not set: this is the script of a batch endpoint of Azure ML")


def run(mini_batch: Sequence[str]) -> list[str]:
    """Score the files of a mini batch; return their names, as many as were dealt with."""
    output, ending = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]), os.environ["CLOUDMLOPS_BATCH_OUTPUT"]
    for file in mini_batch:
        with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as folder:
            written = Path(folder) / f"{SCORED}{ending}"
            try:
                score_file(
                    Path(os.environ["AZUREML_MODEL_DIR"]),
                    str(file),
                    str(written),
                    target=os.environ.get("CLOUDMLOPS_TARGET"),
                )
            except InvalidRequestError as error:
                told = {"message": error.message, "hint": error.hint, "faults": list(error.faults)}
                (output / REFUSED).write_text(json.dumps(told), encoding="utf-8")
            else:
                shutil.copyfile(written, output / written.name)
    return [Path(file).name for file in mini_batch]
