"""Commands that run as several processes on one or more nodes, which find each other by variables.

Names of variables and logs follow learn.microsoft.com, "Distributed training with Azure Machine Learning": PyTorch's
own variables, and those of Open MPI, whose launcher the service calls. All nodes are this machine here, and the
processes are started without a launcher.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError

_KINDS: Final = ("mpi", "pytorch")
_HERE: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """How a command is distributed."""

    kind: str = ""
    """One of `mpi` and `pytorch`; empty is one process on one node."""
    nodes: int = 1
    processes: int = 1
    """On each node."""


def distribution_of(
    given: Mapping[str, Any] | None, resources: Sequence[Mapping[str, Any] | None], where: str
) -> Distribution:
    """Read a distribution, in the names of a job or of a step.

    Args:
        given: As it was submitted; None is none.
        resources: Of the job or step; the first that say how many nodes count.
        where: Whose it is, for messages.

    Raises:
        Refused: It is of a kind that is not emulated, or there are several nodes without one.
    """
    counts = [one.get("instance_count") or one.get("instanceCount") for one in resources if one]
    nodes = next((int(count) for count in counts if count), 1)
    if not given:
        if nodes > 1:
            raise UserError("UNIMPLEMENTED", f"Several nodes without a distribution are not emulated: {where}.")
        return Distribution()
    # Of a component, a step and a job.
    kind = str(given.get("type") or given.get("distribution_type") or given.get("distributionType") or "").lower()
    if kind not in _KINDS:
        raise UserError("UNIMPLEMENTED", f"A distribution of type {kind!r} is not emulated: {where}.")
    count = given.get("process_count_per_instance") or given.get("processCountPerInstance") or 1
    return Distribution(kind=kind, nodes=nodes, processes=int(count))


def processes_of(distribution: Distribution, log: str) -> list[tuple[str, Mapping[str, str]]]:
    """Return the log and the variables of each process.

    Args:
        distribution: Of the command.
        log: Of a command that is one process.
    """
    if not distribution.kind:
        return [(log, {})]
    whole = distribution.nodes * distribution.processes
    folder, digits, port = log.rpartition("/")[0], len(str(whole - 1)), _free_port()
    found: list[tuple[str, Mapping[str, str]]] = []
    for rank in range(whole):
        node, local = divmod(rank, distribution.processes)
        numbers = {"rank": rank, "local": local, "node": node, "whole": whole, "beside": distribution.processes}
        variables = {name: str(numbers[number]) for name, number in _NAMES[distribution.kind].items()}
        if distribution.kind == "pytorch":
            variables |= {"MASTER_ADDR": _HERE, "MASTER_PORT": str(port)}
        else:
            variables |= {"AZ_BATCH_MASTER_NODE": f"{_HERE}:{port}"}
        found.append((f"{folder}/std_log_process_{rank:0{digits}}.txt", variables))
    return found


_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "pytorch": {"RANK": "rank", "LOCAL_RANK": "local", "NODE_RANK": "node", "WORLD_SIZE": "whole"},
    "mpi": {
        "OMPI_COMM_WORLD_RANK": "rank",
        "OMPI_COMM_WORLD_LOCAL_RANK": "local",
        "OMPI_COMM_WORLD_SIZE": "whole",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "beside",
    },
}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HERE, 0))
        return int(free.getsockname()[1])
