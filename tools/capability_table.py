"""Draw `docs/capabilities.md` from what the providers say of themselves: `python tools/capability_table.py`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.providers.azureml.limits import LIMITS as AZUREML
from cloudmlops.providers.local.limits import LIMITS as LOCAL
from cloudmlops.providers.vertex.limits import LIMITS as VERTEX

PAGE = Path(__file__).resolve().parent.parent / "docs" / "capabilities.md"
PROVIDERS = {"local": LOCAL, "vertex": VERTEX, "azureml": AZUREML}
HEAD = """# What each provider can do

Drawn by `python tools/capability_table.py` from the providers' own declarations; a test fails when it is out of date.
`platform.capabilities` says the same in code, and `platform.require("endpoints.autoscale")` refuses at once, with the
reason, what a provider lacks.

"""


def page() -> str:
    """Return the page's text."""
    rows = [f"| capability | {' | '.join(PROVIDERS)} |", f"|---|{'---|' * len(PROVIDERS)}"]
    rows += [f"| `{capability}` | {' | '.join(cells(capability))} |" for capability in sorted(Capability)]
    return HEAD + "\n".join(rows) + "\n"


def cells(capability: Capability) -> list[str]:
    """Return a cell a provider: native, or how it differs, why, and the way round."""
    drawn = []
    for limits in PROVIDERS.values():
        limit = limits.get(capability)
        drawn.append(f"{limit.kind}: {limit.reason}. {limit.instead}".strip() if limit else str(Support.NATIVE))
    return drawn


if __name__ == "__main__":
    ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
