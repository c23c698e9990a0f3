"""Reading one row of a thousand from an emulated Bigtable, by Google's own clients."""

from __future__ import annotations

import subprocess
import sys

import grpc
from google.cloud.bigtable_admin_v2 import BaseBigtableTableAdminClient as Admin
from google.cloud.bigtable_admin_v2.types import ColumnFamily, Table
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.types import MutateRowsRequest, Mutation, ReadRowsRequest, RowSet

from benchmarks.measuring import latencies
from benchmarks.processes import free_port

_INSTANCE = "projects/bench/instances/bench"
_ROWS = 1000


def measured(*, program: str, calls: int) -> dict[str, dict[str, float]]:
    """Start Google's own emulator and read from it."""
    port = free_port()
    process = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", str(port)], stdout=sys.stderr, stderr=subprocess.STDOUT
    )
    try:
        return {"point_read": read(f"127.0.0.1:{port}", calls)}
    finally:
        process.kill()
        process.wait()


def read(address: str, calls: int) -> dict[str, float]:
    """Write rows into a table, then take the latencies of reading single ones."""
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(60)
    admin = Admin(transport=Admin.get_transport_class("grpc")(channel=channel))
    data = BigtableClient(transport=BigtableClient.get_transport_class("grpc")(channel=channel))
    admin.create_table(parent=_INSTANCE, table_id="bench", table=Table(column_families={"f": ColumnFamily()}))
    table = f"{_INSTANCE}/tables/bench"
    cell = Mutation(set_cell=Mutation.SetCell(family_name="f", column_qualifier=b"q", value=b"v" * 100))
    entries = [MutateRowsRequest.Entry(row_key=_key(index), mutations=[cell]) for index in range(_ROWS)]
    for reply in data.mutate_rows(table_name=table, entries=entries):
        if any(entry.status.code for entry in reply.entries):
            raise AssertionError("a row was not written")

    def one(index: int) -> None:
        request = ReadRowsRequest(table_name=table, rows=RowSet(row_keys=[_key(index % _ROWS)]))
        if sum(len(reply.chunks) for reply in data.read_rows(request=request)) != 1:
            raise AssertionError("the row was not found")

    return latencies(one, calls)


def _key(index: int) -> bytes:
    return f"row{index:06}".encode()
