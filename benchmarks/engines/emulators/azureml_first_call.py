"""The command of `cloudmlops emulate azureml -- …`: one call of Azure Resource Manager, with a token from Entra.

It tells when it was answered, and what memory the emulator, which is its parent, holds then.
"""

from __future__ import annotations

import os
import time
from typing import Any

from azure.identity import ClientSecretCredential

from benchmarks.engines.emulators.azureml_workspace import ARM, address, session
from benchmarks.measuring import resident_mib


def measured() -> dict[str, Any]:
    credential = ClientSecretCredential(
        os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"]
    )
    with credential, session(credential.get_token(f"{ARM}/.default").token) as calling:
        calling.get(f"{address()}/models").raise_for_status()
    answered_at = time.time()
    return {"answered_at": answered_at, "idle_mib": resident_mib(os.getppid())}
