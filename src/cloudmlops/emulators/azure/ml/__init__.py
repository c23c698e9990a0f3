"""Microsoft.MachineLearningServices: one file a kind of resource."""

from __future__ import annotations

from typing import Final

PROVIDER: Final = "Microsoft.MachineLearningServices"
GROUP: Final = "/subscriptions/{subscription}/resourceGroups/{group}"
WORKSPACES: Final = f"{GROUP}/providers/{PROVIDER}/workspaces"
WORKSPACE: Final = f"{WORKSPACES}/{{workspace}}"
