"""Stand in for a provider: serve its recorded schema to Terraform, judge, plan and apply, and never ask a cloud.

Terraform starts this through the launcher that `mirror.py` lays out. It judges names, types, required arguments and
blocks itself, by the schema; what a schema cannot say is in `rules.json`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from concurrent import futures
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import grpc
from tools.tfcheck import rules
from tools.tfcheck.messages import MESSAGES
from tools.tfcheck.schemas import Recorded, read
from tools.tfcheck.values import applied, decoded, empty, encoded, planned

_COOKIE: Final = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_ERROR: Final = 1
_PARENT_LOOKED_AT: Final = 5.0
"""Seconds between looks whether Terraform still lives."""
_CALLS: Final = {
    "ApplyResourceChange": ("ApplyAsked", "Applied"),
    "Configure": ("ConfigAsked", "Told"),
    "GetSchema": ("Empty", None),
    "PlanResourceChange": ("PlanAsked", "Planned"),
    "PrepareProviderConfig": ("PrepareAsked", "Prepared"),
    "ReadDataSource": ("ConfigAsked", "DataRead"),
    "ReadResource": ("ReadAsked", "ResourceRead"),
    "Stop": ("Empty", "Stopped"),
    "UpgradeResourceState": ("UpgradeAsked", "Upgraded"),
    "ValidateDataSourceConfig": ("ConfigAsked", "Told"),
    "ValidateResourceTypeConfig": ("ConfigAsked", "Told"),
}
"""The protocol's calls: what comes, and what is answered (None: bytes)."""


class Provider:
    """Answers Terraform's calls, by their names in the protocol."""

    def __init__(self, schema: Path, message: Path) -> None:
        self._schema_file = schema
        self._message = message
        self._lock = threading.Lock()

    def GetSchema(self, _asked: Any) -> bytes:  # noqa: N802 - the protocol's names
        return self._message.read_bytes()

    def PrepareProviderConfig(self, asked: Any) -> Any:  # noqa: N802
        return MESSAGES["Prepared"](prepared_config=asked.config)

    def Configure(self, _asked: Any) -> Any:  # noqa: N802
        return MESSAGES["Told"]()

    def ValidateResourceTypeConfig(self, asked: Any) -> Any:  # noqa: N802
        return self._judged(asked, asked.type_name, self._known.resources[asked.type_name])

    def ValidateDataSourceConfig(self, asked: Any) -> Any:  # noqa: N802
        return self._judged(asked, f"data.{asked.type_name}", self._known.data[asked.type_name])

    def UpgradeResourceState(self, asked: Any) -> Any:  # noqa: N802
        return MESSAGES["Upgraded"](upgraded_state=encoded(json.loads(asked.raw_state.json)))

    def ReadResource(self, asked: Any) -> Any:  # noqa: N802
        return MESSAGES["ResourceRead"](new_state=asked.current_state, private=asked.private)

    def PlanResourceChange(self, asked: Any) -> Any:  # noqa: N802
        if (proposed := decoded(asked.proposed_new_state)) is None:
            return MESSAGES["Planned"](planned_state=asked.proposed_new_state)
        block = self._known.resources[asked.type_name]
        plan = planned(block, proposed, new=decoded(asked.prior_state) is None)
        return MESSAGES["Planned"](planned_state=encoded(plan), planned_private=asked.prior_private)

    def ApplyResourceChange(self, asked: Any) -> Any:  # noqa: N802
        if (plan := decoded(asked.planned_state)) is None:
            return MESSAGES["Applied"](new_state=asked.planned_state)
        name = plan.get("name")  # two of a type are told apart: who has a role on which of them
        label = f"{asked.type_name}[{name}]" if isinstance(name, str) else asked.type_name
        state = applied(self._known.resources[asked.type_name], plan, label)
        return MESSAGES["Applied"](new_state=encoded(state))

    def ReadDataSource(self, asked: Any) -> Any:  # noqa: N802
        block = self._known.data[asked.type_name]
        plan = planned(block, empty(block) | decoded(asked.config), new=True)
        return MESSAGES["DataRead"](state=encoded(applied(block, plan, asked.type_name)))

    def Stop(self, _asked: Any) -> Any:  # noqa: N802
        return MESSAGES["Stopped"]()

    def _judged(self, asked: Any, name: str, block: Any) -> Any:
        told = MESSAGES["Told"]()
        for where, what in rules.faults(self._rules.get(name, ()), block, decoded(asked.config)):
            added = told.diagnostics.add(severity=_ERROR, summary="Refused by tfcheck", detail=what)
            for step in where:
                named = {"element_key_int": step} if isinstance(step, int) else {"attribute_name": step}
                added.attribute.steps.add(**named)
        return told

    @property
    def _known(self) -> Recorded:
        with self._lock:  # Terraform's first calls come at once
            return self._read

    @cached_property
    def _read(self) -> Recorded:
        return read(self._schema_file)

    @cached_property
    def _rules(self) -> Any:
        return rules.read()


def _handlers(provider: Provider, stopped: threading.Event) -> list[Any]:
    def one(name: str, comes: str, goes: str | None) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda asked, _context: getattr(provider, name)(asked),
            request_deserializer=MESSAGES[comes].FromString,
            response_serializer=MESSAGES[goes].SerializeToString if goes else None,
        )

    def stop(asked: Any, _context: Any) -> Any:
        stopped.set()
        return asked

    calls = {name: one(name, *io) for name, io in _CALLS.items() if hasattr(provider, name)}
    control = grpc.unary_unary_rpc_method_handler(
        stop,
        request_deserializer=MESSAGES["Empty"].FromString,
        response_serializer=MESSAGES["Empty"].SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler("tfplugin5.Provider", calls),
        grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": control}),
    ]


def main() -> int:
    """Serve until Terraform says goodbye; with `--stay` until whoever started this ends it; or until he is gone."""
    *stay, schema, message = sys.argv[1:]
    if not stay and os.environ.get(_COOKIE[0]) != _COOKIE[1]:
        print("Terraform starts this; run python -m tools.tfcheck.", file=sys.stderr)
        return 1
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    provider = Provider(Path(schema), Path(message))
    no_limit = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=no_limit)
    server.add_generic_rpc_handlers(_handlers(provider, threading.Event() if stay else stopped))
    with tempfile.TemporaryDirectory(prefix="tfcheck-") as folder:
        server.add_insecure_port(f"unix:{folder}/plugin")
        server.start()
        print(f"1|5|unix|{folder}/plugin|grpc", flush=True)
        parent = os.getppid()
        while not stopped.wait(_PARENT_LOOKED_AT) and os.getppid() == parent:
            pass
        server.stop(0.05).wait()
    os._exit(0)  # Terraform waits, and the interpreter's own farewell takes 0.1 s


if __name__ == "__main__":
    sys.exit(main())
