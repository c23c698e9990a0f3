"""Our Bigtable, and Google's own emulator where this machine has it, behind one fixture."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import bigtable_admin_v2, bigtable_v2
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin import transports as table_transports
from google.cloud.bigtable_v2.services.bigtable import transports as data_transports

from cloudmlops.emulators.core.calls import Calls
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Faults
from cloudmlops.emulators.core.processes import Processes
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.bigtable.service import service

INSTANCE = "projects/test/instances/flights"
_numbers = count()


@dataclass(kw_only=True)
class Bigtable:
    """One that answers."""

    address: str
    ours: bool
    surroundings: Surroundings | None = None
    dropped: list[tuple[str, int]] = field(default_factory=list)

    @cached_property
    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address)

    @cached_property
    def data(self) -> Any:
        """The bare client of the data API, without retries of its own."""
        return bigtable_v2.BigtableClient(transport=data_transports.BigtableGrpcTransport(channel=self.channel))

    @cached_property
    def admin(self) -> Any:
        transport = table_transports.BigtableTableAdminGrpcTransport(channel=self.channel)
        return bigtable_admin_v2.BaseBigtableTableAdminClient(transport=transport)

    @cached_property
    def instances(self) -> Any:
        transports = bigtable_admin_v2.services.bigtable_instance_admin.transports
        transport = transports.BigtableInstanceAdminGrpcTransport(channel=self.channel)
        return bigtable_admin_v2.BigtableInstanceAdminClient(transport=transport)

    def table(self, **families: Any) -> str:
        """Make a table, its families one after the other, and return its name."""
        name = f"table-{next(_numbers)}"
        self.admin.create_table(parent=INSTANCE, table_id=name, table={})
        for family, rule in (families or {"f": {}}).items():
            self.admin.modify_column_families(
                name=f"{INSTANCE}/tables/{name}",
                modifications=[{"id": family, "create": {"gc_rule": rule} if rule else {}}],
            )
        return f"{INSTANCE}/tables/{name}"

    def put(self, table: str, key: bytes, *cells: tuple[str, bytes, int, bytes]) -> None:
        """Set cells: family, qualifier, timestamp in milliseconds, value."""
        self.data.mutate_row(table_name=table, row_key=key, mutations=[set_cell(*cell) for cell in cells])

    def read(self, table: str, **asked: Any) -> list[tuple[bytes, list[tuple[Any, ...]]]]:
        """Return rows in their order: key and cells (family, qualifier, timestamp in milliseconds, value, labels)."""
        answers = self.data.read_rows(request={"table_name": table, **asked}, retry=None, timeout=20)
        return merged(chunk for answer in answers for chunk in answer.chunks)


def set_cell(family: str, qualifier: bytes, timestamp: int, value: bytes) -> dict[str, Any]:
    micros = timestamp * 1000 if timestamp >= 0 else timestamp
    return {
        "set_cell": {"family_name": family, "column_qualifier": qualifier, "timestamp_micros": micros, "value": value}
    }


def merged(chunks: Any) -> list[tuple[bytes, list[tuple[Any, ...]]]]:
    """Put chunks together by the rules of the API."""
    rows: list[tuple[bytes, list[tuple[Any, ...]]]] = []
    key, family, qualifier, value, begun = b"", "", b"", b"", None
    cells: list[tuple[Any, ...]] = []
    for raw in chunks:
        chunk = type(raw).pb(raw)
        if chunk.row_key:
            assert key in {b"", chunk.row_key}
            key = chunk.row_key
        if chunk.HasField("family_name"):
            family = chunk.family_name.value
            assert chunk.HasField("qualifier")
        if chunk.HasField("qualifier"):
            qualifier = chunk.qualifier.value
        if begun is None:
            begun = (chunk.timestamp_micros // 1000, tuple(chunk.labels))
        value += chunk.value
        if chunk.value_size:
            assert len(value) < chunk.value_size
            continue
        cells.append((family, qualifier, begun[0], value, begun[1]))
        value, begun = b"", None
        if chunk.commit_row:
            rows.append((key, cells))
            key, cells = b"", []
    assert not key
    assert begun is None
    return rows


@contextmanager
def serving(folder: Path | None = None) -> Iterator[Bigtable]:
    """Serve ours."""
    clock, faults, state, processes = Clock(), Faults(), State(folder), Processes()
    dropped: list[tuple[str, int]] = []
    calls = Calls(clock, faults)
    surroundings = Surroundings(
        clock=clock,
        state=state,
        faults=faults,
        calls=calls,
        processes=processes,
        drop=dropped.append,
        address=lambda: "",
        environment=dict,
    )
    server = grpc.server(ThreadPoolExecutor(8), handlers=[service(surroundings).rpc])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Bigtable(address=f"127.0.0.1:{port}", ours=True, surroundings=surroundings, dropped=dropped)
    finally:
        server.stop(None).wait()
        calls.close()
        clock.close()
        state.close()


def cbtemulator() -> str | None:
    """Find Google's emulator beside a Google Cloud SDK."""
    if found := shutil.which("cbtemulator"):
        return found
    roots = [Path(gcloud).resolve().parents[1] for gcloud in [shutil.which("gcloud")] if gcloud]
    roots += [Path(root) for root in ("/usr/lib/google-cloud-sdk", Path.home() / "google-cloud-sdk")]
    candidates = [root / "platform/bigtable-emulator/cbtemulator" for root in roots]
    return next((str(each) for each in candidates if os.access(each, os.X_OK)), None)


@contextmanager
def serving_googles(program: str) -> Iterator[Bigtable]:
    """Run Google's."""
    process = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        announced = process.stdout.readline()
        yield Bigtable(address=announced.rstrip().rpartition(" ")[2], ours=False)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def ours() -> Iterator[Bigtable]:
    with serving() as running:
        yield running
        running.channel.close()


@pytest.fixture(scope="session")
def googles() -> Iterator[Bigtable]:
    program = cbtemulator()
    if program is None:
        pytest.skip("cbtemulator is not on this machine: install the Google Cloud SDK's Bigtable emulator to compare")
    with serving_googles(program) as running:
        yield running
        running.channel.close()


@pytest.fixture(params=["ours", "cbtemulator"])
def bigtable(request: pytest.FixtureRequest) -> Bigtable:
    """Each of both: what a test says holds for both."""
    return request.getfixturevalue({"ours": "ours", "cbtemulator": "googles"}[request.param])


@pytest.fixture
def refused() -> Callable[..., Any]:
    """Expect an error of one code."""

    @contextmanager
    def expecting(code: str) -> Iterator[pytest.ExceptionInfo[Any]]:
        from google.api_core.exceptions import GoogleAPICallError

        with pytest.raises(GoogleAPICallError) as caught:
            yield caught
        assert caught.value.grpc_status_code.name == code

    return expecting
