"""Check workflows of continuous integration offline: their schemas, and what zizmor finds in GitHub's.

Both tools have environments of their own in `.tools`, which running this makes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # run as a script, or read by a test

from tool_environment import made

SCHEMAS = "check-jsonschema==0.39.0"
SECURITY = "zizmor==1.32.0"
KINDS = {
    ".azure-pipelines/*.yml": "vendor.azure-pipelines",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    ".github/workflows/*.yml": "vendor.github-workflows",
}
"""Files of a project, and the schema that is packed with the tool."""


def faults(projects: Sequence[Path]) -> str:
    """Return what is wrong with projects' workflows, in the tools' words; empty when nothing is."""
    schemas = made("check-jsonschema", SCHEMAS)
    told = []
    for pattern, schema in KINDS.items():
        files = [file for project in projects for file in project.glob(pattern)]
        if files:
            # Azure's schema has a pattern that the tool's own dialect refuses, and its expressions are to be unfolded.
            azure = ["--regex-variant", "nonunicode", "--data-transform", "azure-pipelines"]
            told.append(
                _told(
                    [
                        schemas,
                        "-m",
                        "check_jsonschema",
                        *(azure if "azure" in schema else []),
                        "--builtin-schema",
                        schema,
                        *files,
                    ]
                )
            )
    # An empty configuration, so that none of this repository's is found; all audits but those that ask the network.
    if folders := [project / ".github" for project in projects if (project / ".github").is_dir()]:
        zizmor = made("zizmor", SECURITY).with_name("zizmor")
        told.append(_told([zizmor, "--offline", "--no-progress", "--no-config", "--persona", "pedantic", *folders]))
    return "".join(told)


def _told(command: Sequence[object]) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(faults([Path(word) for word in sys.argv[1:]]))
    made("check-jsonschema", SCHEMAS)
    made("zizmor", SECURITY)
