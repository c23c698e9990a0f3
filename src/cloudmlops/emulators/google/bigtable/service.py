"""The service as the emulator composes it."""

from __future__ import annotations

from typing import Final

from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.bigtable.data import Data
from cloudmlops.emulators.google.bigtable.instances import Instances
from cloudmlops.emulators.google.bigtable.rpc import SERVICE, Handlers
from cloudmlops.emulators.google.bigtable.table_admin import TableAdmin
from cloudmlops.emulators.google.bigtable.tables import tables_of

HOSTS: Final = ("bigtable.googleapis.com", "bigtableadmin.googleapis.com", "*-bigtable.googleapis.com")
_PATHS: Final = ("/google.bigtable.v2.", "/google.bigtable.admin.v2.")


def service(surroundings: Surroundings, *, audit: Audit | None = None) -> Service:
    """Make Bigtable, with the tables and rows that the state holds.

    Args:
        surroundings: Of the emulator.
        audit: Where it is written what was changed, and what was refused.
    """
    tables = tables_of(surroundings.state, surroundings.clock)
    instances = Instances(surroundings.state, surroundings.clock, tables)
    methods = [*Data(tables, instances).methods(), *TableAdmin(tables, instances).methods(), *instances.methods()]
    return Service(name=SERVICE, hosts=HOSTS, rpc=Handlers(surroundings, methods, _PATHS, audit))
