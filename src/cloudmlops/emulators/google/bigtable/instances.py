"""Instances, clusters and app profiles: `google.bigtable.admin.v2.BigtableInstanceAdmin`.

A table may be made in an instance that was never made, as in Google's own emulator: a test of rows need not care.
"""

from __future__ import annotations

import re
from typing import Any, Final

from google.cloud.bigtable_admin_v2 import types
from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.bigtable.rpc import Method
from cloudmlops.emulators.google.bigtable.tables import Tables

_IDS: Final = {
    "instance": re.compile(r"[a-z][-a-z0-9]{4,31}[a-z0-9]"),
    "cluster": re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]"),
    "app profile": re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}"),
}
_READY: Final = 1
_Instance, _Cluster, _AppProfile = types.Instance.pb(), types.Cluster.pb(), types.AppProfile.pb()


class Instances:
    """Makes, describes and changes instances; every operation is done when it is answered."""

    operation = Operation

    def __init__(self, state: State, clock: Clock, tables: Tables) -> None:
        self._state = state
        self._clock = clock
        self._tables = tables
        self._kept = state.table("bigtable_instances")

    def methods(self) -> list[Method]:
        """What is answered."""
        return [
            _method("CreateInstance", Operation, self.create_instance),
            _method("GetInstance", _Instance, lambda asked: self._get(asked.name, _Instance)),
            _method("ListInstances", _message("ListInstancesResponse"), self.list_instances),
            _method("UpdateInstance", _Instance, self.update_instance, request=_Instance),
            _method("PartialUpdateInstance", Operation, self.partial_update_instance),
            _method("DeleteInstance", Empty, self.delete_instance),
            _method("CreateCluster", Operation, self.create_cluster),
            _method("GetCluster", _Cluster, lambda asked: self._get(asked.name, _Cluster)),
            _method("ListClusters", _message("ListClustersResponse"), self.list_clusters),
            _method("UpdateCluster", Operation, self.update_cluster, request=_Cluster),
            _method("DeleteCluster", Empty, lambda asked: self._delete(asked.name)),
            _method("CreateAppProfile", _AppProfile, self.create_app_profile),
            _method("GetAppProfile", _AppProfile, lambda asked: self._get(asked.name, _AppProfile)),
            _method("ListAppProfiles", _message("ListAppProfilesResponse"), self.list_app_profiles),
            _method("UpdateAppProfile", Operation, self.update_app_profile),
            _method("DeleteAppProfile", Empty, lambda asked: self._delete(asked.name)),
        ]

    def create_instance(self, asked: Any) -> Any:
        if not asked.clusters:
            raise Refused("INVALID_ARGUMENT", "Error in field 'clusters' : at least one cluster must be given")
        with self._state.transaction():
            name = f"{asked.parent}/instances/{asked.instance_id}"
            instance = self._create("instance", name, asked.instance)
            instance.state = _READY
            instance.type_ = instance.type_ or types.Instance.Type.PRODUCTION
            instance.create_time.FromDatetime(self._clock.now())
            self._put(instance)
            for cluster_id, cluster in asked.clusters.items():
                self._create_cluster(f"{name}/clusters/{cluster_id}", cluster)
            profile = _AppProfile(name=f"{name}/appProfiles/default")
            if len(asked.clusters) == 1:
                profile.single_cluster_routing.cluster_id = next(iter(asked.clusters))
                profile.single_cluster_routing.allow_transactional_writes = True
            else:
                profile.multi_cluster_routing_use_any.SetInParent()
            self._put(profile)
        return self.done(name, instance, _message("CreateInstanceMetadata")())

    def list_instances(self, asked: Any) -> Any:
        return _message("ListInstancesResponse")(instances=self._list(asked.parent, "instances", _Instance))

    def update_instance(self, asked: Any) -> Any:
        return self._update(asked, ["display_name", "type_", "labels"], _Instance)

    def partial_update_instance(self, asked: Any) -> Any:
        instance = self._update(asked.instance, asked.update_mask.paths, _Instance)
        return self.done(instance.name, instance, _message("UpdateInstanceMetadata")())

    def delete_instance(self, asked: Any) -> Any:
        """Delete an instance with all that is in it."""
        with self._tables.lock, self._state.transaction():
            self._get(asked.name, _Instance)
            for table in self._tables.of(asked.name):
                if table.definition.deletion_protection:
                    raise Refused("FAILED_PRECONDITION", f"Table is protected from deletion: {table.name}")
            for table in self._tables.of(asked.name):
                self._tables.delete(table)
            for name, _ in self._kept.items(f"{asked.name}/"):
                self._kept.delete(name)
            self._kept.delete(asked.name)
        return Empty()

    def create_cluster(self, asked: Any) -> Any:
        with self._state.transaction():
            self._get(asked.parent, _Instance)
            cluster = self._create_cluster(f"{asked.parent}/clusters/{asked.cluster_id}", asked.cluster)
        return self.done(cluster.name, cluster, _message("CreateClusterMetadata")())

    def list_clusters(self, asked: Any) -> Any:
        return _message("ListClustersResponse")(clusters=self._list(asked.parent, "clusters", _Cluster))

    def cluster_ids(self, instance: str) -> list[str]:
        """Return the ids of an instance's clusters; none when it was never made."""
        return [cluster.name.rpartition("/")[2] for cluster in self._list(instance, "clusters", _Cluster)]

    def update_cluster(self, asked: Any) -> Any:
        cluster = self._update(asked, ["serve_nodes"], _Cluster)
        return self.done(cluster.name, cluster, _message("UpdateClusterMetadata")())

    def create_app_profile(self, asked: Any) -> Any:
        if asked.app_profile.WhichOneof("routing_policy") is None:
            raise Refused("INVALID_ARGUMENT", "Error in field 'app_profile' : a routing policy must be set")
        with self._state.transaction():
            self._get(asked.parent, _Instance)
            name = f"{asked.parent}/appProfiles/{asked.app_profile_id}"
            profile = self._create("app profile", name, asked.app_profile)
            self._put(profile)
        return profile

    def list_app_profiles(self, asked: Any) -> Any:
        profiles = self._list(asked.parent, "appProfiles", _AppProfile)
        return _message("ListAppProfilesResponse")(app_profiles=profiles)

    def update_app_profile(self, asked: Any) -> Any:
        profile = self._update(asked.app_profile, asked.update_mask.paths, _AppProfile)
        return self.done(profile.name, profile, _message("UpdateAppProfileMetadata")())

    def check_profile(self, instance: str, profile_id: str, *, transacts: bool) -> None:
        """Refuse an app profile that is not there, or does not let rows be read and written in one.

        In an instance that was never made, all profiles are.
        """
        if self._kept.get(instance) is None:
            return
        profile = self._get(f"{instance}/appProfiles/{profile_id}", _AppProfile)
        if transacts and not profile.single_cluster_routing.allow_transactional_writes:
            raise Refused("FAILED_PRECONDITION", "Single-row transactions are not allowed by this app profile")

    def done(self, subject: str, response: Any, metadata: Any) -> Any:
        """Return an operation that has succeeded."""
        operation = Operation(name=f"operations/{subject}/operations/{self._tables.now_micros()}", done=True)
        operation.response.Pack(response)
        operation.metadata.Pack(metadata)
        return operation

    def _create_cluster(self, name: str, definition: Any) -> Any:
        cluster = self._create("cluster", name, definition)
        cluster.state = _READY
        cluster.default_storage_type = cluster.default_storage_type or types.StorageType.SSD
        if not cluster.HasField("cluster_config"):
            cluster.serve_nodes = cluster.serve_nodes or 1
        self._put(cluster)
        return cluster

    def _create(self, kind: str, name: str, definition: Any) -> Any:
        identifier = name.rpartition("/")[2]
        if not _IDS[kind].fullmatch(identifier):
            raise Refused("INVALID_ARGUMENT", f"Invalid {kind} id '{identifier}': must match {_IDS[kind].pattern}")
        if self._kept.get(name) is not None:
            raise Refused("ALREADY_EXISTS", f"{kind.capitalize()} already exists: {name}")
        made = type(definition)()
        made.CopyFrom(definition)
        made.name = name
        return made

    def _put(self, resource: Any) -> None:
        self._kept.put(resource.name, resource.SerializeToString())

    def _get(self, name: str, message: Any) -> Any:
        data = self._kept.get(name)
        if data is None:
            raise Refused("NOT_FOUND", f"{message.DESCRIPTOR.name} not found: {name}")
        return message.FromString(data)

    def _list(self, parent: str, collection: str, message: Any) -> list[Any]:
        """Return what is directly in a parent; `-` stands for any instance."""
        pattern = re.compile(re.escape(f"{parent}/{collection}/").replace("/\\-/", "/[^/]+/") + "[^/]+")
        beginning = parent.partition("/-")[0]
        return [message.FromString(data) for name, data in self._kept.items(f"{beginning}/") if pattern.fullmatch(name)]

    def _update(self, given: Any, paths: Any, message: Any) -> Any:
        with self._state.transaction():
            kept = self._get(given.name, message)
            if not paths:
                raise Refused("INVALID_ARGUMENT", "Error in field 'update_mask' : must name a field")
            for path in paths:
                _set(kept, given, path)
            self._put(kept)
            return kept

    def _delete(self, name: str) -> Any:
        if not self._kept.delete(name):
            raise Refused("NOT_FOUND", f"Resource not found: {name}")
        return Empty()


def _set(kept: Any, given: Any, path: str) -> None:
    """Take over one field, or leave it out where it was left out; what Python reserves has a `_` in its classes."""
    path = path if path in kept.DESCRIPTOR.fields_by_name else f"{path}_"
    if path not in kept.DESCRIPTOR.fields_by_name or path == "name":
        raise Refused("INVALID_ARGUMENT", f"Error in field 'update_mask' : {path} cannot be changed")
    part = type(kept)()
    part.CopyFrom(given)
    for field, _ in given.ListFields():
        if field.name != path:
            part.ClearField(field.name)
    kept.ClearField(path)
    kept.MergeFrom(part)


def _message(name: str) -> Any:
    return getattr(types, name).pb()


def _method(name: str, response: Any, act: Any, *, request: Any = None) -> Method:
    return Method(
        path=f"/google.bigtable.admin.v2.BigtableInstanceAdmin/{name}",
        request=request or _message(f"{name}Request"),
        response=response,
        act=act,
    )
