"""Create, get, list, update and delete, for every resource that has no rules of its own here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Container, Mapping
from typing import Any, Final

from google.protobuf import empty_pb2, field_mask_pb2
from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import Method, message, methods
from cloudmlops.emulators.google.aiplatform.checking import OUTPUT_ONLY, REQUIRED, is_empty
from cloudmlops.emulators.google.aiplatform.documentation import behaviours
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handler, Vertex
from cloudmlops.emulators.google.aiplatform.names import new_id, parent_of
from cloudmlops.emulators.google.aiplatform.paging import page, shown

_COLLECTION: Final = re.compile(r"/([A-Za-z]+)(?:/\*\})?(?::\w+)?$")
_RECORDS: Final[Mapping[str, frozenset[str]]] = {
    "DatasetService": frozenset({"Dataset"}),
    "EndpointService": frozenset({"Endpoint"}),
    "FeatureOnlineStoreAdminService": frozenset({"FeatureOnlineStore", "FeatureView", "FeatureViewSync"}),
    "FeatureRegistryService": frozenset({"FeatureGroup", "Feature"}),
    "MetadataService": frozenset({"MetadataStore", "Artifact", "Context", "Execution", "MetadataSchema"}),
    "TensorboardService": frozenset(
        {"Tensorboard", "TensorboardExperiment", "TensorboardRun", "TensorboardTimeSeries"}
    ),
}
"""By service, what is nothing but a record: to keep it is all that the service itself does at once. A job or an index,
of which more is promised, is not among them; what has rules of its own here need not be."""
_PLURALS: Final = {"Indexes": "Index", "Entries": "Entry", "TensorboardTimeSeries": "TensorboardTimeSeries"}
_LOCATION_PARTS: Final = 4
_METADATA: Final = "MetadataService"
"""Its ids are UUIDs where the caller gives none, and its stores are deleted with all that they hold."""
_STATE_KEPT_BY_SERVICE: Final = ("name", "create_time", "update_time", "etag")


def generic_handler(vertex: Vertex, method: Method, ruled: Container[str] = ()) -> Handler | None:
    """Return a handler when a method is of these five kinds by its name and fields; None for any other.

    Args:
        vertex: What it works on.
        method: The method.
        ruled: Keys of the methods that have rules of their own: what one of these makes can be read here.
    """
    for verb, build in (
        ("Create", _create),
        ("Get", _get),
        ("List", _list),
        ("Update", _update),
        ("Delete", _delete),
    ):
        if method.name.startswith(verb) and method.rules and not method.responses_stream:
            kind = _singular(method.name.removeprefix(verb))
            known = kind in _RECORDS.get(method.service, ()) or f"{method.service}.Create{kind}" in ruled
            return build(vertex, method) if known else None
    return None


def masked(kept: Any, given: Any, mask: Any) -> None:
    """Copy the fields that a mask names; without one, or with `*`, those that are set.

    Raises:
        Refused: The mask names a field that does not exist, or that cannot be changed.
    """
    words = behaviours(kept.DESCRIPTOR.full_name)
    paths = [path for path in mask.paths if path != "*"]
    if not paths:
        paths = [field.name for field, _ in given.ListFields() if field.name not in _STATE_KEPT_BY_SERVICE]
        paths = [path for path in paths if OUTPUT_ONLY not in words.get(path, ())]
    for path in paths:
        first = path.partition(".")[0]
        if first not in kept.DESCRIPTOR.fields_by_name:
            raise Refused("INVALID_ARGUMENT", f"The update mask names {path!r}, which {kept.DESCRIPTOR.name} has not.")
        if words.get(first, frozenset()) & {OUTPUT_ONLY, "Immutable"} or first in ("name", "etag"):
            raise Refused("INVALID_ARGUMENT", f"The field {path!r} of {kept.DESCRIPTOR.name} cannot be updated.")
        field = kept.DESCRIPTOR.fields_by_name[first]
        if "." in path and field.message_type is not None and field.message_type.GetOptions().map_entry:
            _copy_entry(getattr(kept, first), getattr(given, first), path.partition(".")[2])
            continue
        one = field_mask_pb2.FieldMask(paths=[path])
        if not one.IsValidForDescriptor(kept.DESCRIPTOR):
            raise Refused("INVALID_ARGUMENT", f"The update mask names {path!r}, which {kept.DESCRIPTOR.name} has not.")
        if "." not in path:
            kept.ClearField(path)
        one.MergeMessage(given, kept, True, True)
        if REQUIRED in words.get(first, ()) and is_empty(kept, field):
            raise Refused("INVALID_ARGUMENT", f"Required fields are not set: {first}.")


def _copy_entry(kept: Any, given: Any, key: str) -> None:
    if key in given:
        kept[key] = given[key]
    elif key in kept:
        del kept[key]


def _singular(name: str) -> str:
    """Return the kind that a list method names in the plural."""
    return _PLURALS.get(name) or name.removesuffix("s")


def _create(vertex: Vertex, method: Method) -> Handler | None:
    fields = method.request.DESCRIPTOR.fields_by_name
    resource = _resource_field(method)
    collection = _collection(method)
    if "parent" not in fields or resource is None or collection is None:
        return None
    wanted = f"{resource}_id"
    id_field = wanted if wanted in fields else next((name for name in fields if name.endswith("_id")), None)

    def create(request: Any, asking: Asking) -> Any:
        given = getattr(request, resource)
        made_up = str(uuid.uuid5(uuid.NAMESPACE_URL, new_id())) if method.service == _METADATA else new_id()
        name = f"{request.parent}/{collection}/{(getattr(request, id_field) if id_field else '') or made_up}"

        def work() -> Any:
            with vertex.resources.transaction():
                _check_parent(vertex, request.parent)
                return vertex.resources.create(name, given)

        if method.operation is None:
            return work()
        _check_parent(vertex, request.parent)
        if vertex.resources.exists(name):
            raise Refused("ALREADY_EXISTS", f"{given.DESCRIPTOR.name} {name} already exists.")
        return vertex.operations.begin(asking.method, name, work)

    return create


def _get(vertex: Vertex, method: Method) -> Handler | None:
    if "name" not in method.request.DESCRIPTOR.fields_by_name or method.operation is not None:
        return None
    return lambda request, _: shown(vertex.resources.get(request.name, method.response), request)


def _list(vertex: Vertex, method: Method) -> Handler | None:
    fields = method.request.DESCRIPTOR.fields_by_name
    repeated = _listed_field(method)
    found = _COLLECTION.search(method.rules[0].uri)
    if "parent" not in fields or repeated is None or found is None:
        return None
    collection = found[1]

    def listed(request: Any, _: Asking) -> Any:
        kind = method.response.DESCRIPTOR.fields_by_name[repeated].message_type._concrete_class  # noqa: SLF001 the only way from a descriptor to its class
        _check_parent(vertex, request.parent)
        part, token = page(vertex.resources.list(request.parent, collection, kind), request, kind=kind)
        response: Any = method.response()
        getattr(response, repeated).extend(part)
        if "next_page_token" in response.DESCRIPTOR.fields_by_name:
            response.next_page_token = token
        return response

    return listed


def _update(vertex: Vertex, method: Method) -> Handler | None:
    fields = method.request.DESCRIPTOR.fields_by_name
    resource = _resource_field(method)
    if "update_mask" not in fields or resource is None:
        return None

    def update(request: Any, asking: Asking) -> Any:
        given = getattr(request, resource)
        make = "allow_missing" in fields and request.allow_missing

        def work() -> Message:
            with vertex.resources.transaction():
                if make and not vertex.resources.exists(given.name):
                    _check_parent(vertex, parent_of(given.name))
                    made: Message = vertex.resources.create(given.name, given)
                    return made
                kept: Any = vertex.resources.get(given.name, type(given))
                if "etag" in given.DESCRIPTOR.fields_by_name:
                    vertex.resources.check_etag(kept, given.etag)
                masked(kept, given, request.update_mask)
                updated: Message = vertex.resources.put(given.name, kept)
                return updated

        if not make:
            vertex.resources.get(given.name, type(given))
        return work() if method.operation is None else vertex.operations.begin(asking.method, given.name, work)

    return update


def _delete(vertex: Vertex, method: Method) -> Handler | None:
    fields = method.request.DESCRIPTOR.fields_by_name
    if "name" not in fields:
        return None

    def delete(request: Any, asking: Asking) -> Any:
        whole = "force" not in fields or request.force or method.service == _METADATA

        def check() -> None:
            if not vertex.resources.exists(request.name):
                raise _absent(method, request.name)
            if "etag" in fields and request.etag:
                kept: Any = vertex.resources.get(request.name, message(method.name.removeprefix("Delete")))
                if kept.etag != request.etag:
                    raise Refused("FAILED_PRECONDITION", f"The etag {request.etag} of {request.name} is not current.")

        def work() -> Any:
            with vertex.resources.transaction():
                check()
                inner = vertex.resources.within(request.name)
                if inner and not whole:
                    told = f"{request.name} still contains {len(inner)} resources, such as {inner[0]}: use force."
                    raise Refused("FAILED_PRECONDITION", told)
                vertex.resources.delete(request.name, within=True)
            return empty_pb2.Empty()

        check()
        return work() if method.operation is None else vertex.operations.begin(asking.method, request.name, work)

    return delete


def _check_parent(vertex: Vertex, parent: str) -> None:
    """Refuse what is to lie in a resource that does not exist; projects and locations always do."""
    if parent.count("/") >= _LOCATION_PARTS and "/-" not in parent and not vertex.resources.exists(parent):
        raise Refused("NOT_FOUND", f"The parent {parent} does not exist.")


def _absent(method: Method, name: str) -> Refused:
    return Refused("NOT_FOUND", f"The {method.name.removeprefix('Delete')} {name} does not exist.")


def _resource_field(method: Method) -> str | None:
    """Return the request's field that holds the resource itself."""
    kind = method.name.removeprefix("Create").removeprefix("Update")
    for field in method.request.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.name == kind:
            return str(field.name)
    return None


def _listed_field(method: Method) -> str | None:
    for field in method.response.DESCRIPTOR.fields:
        if field.is_repeated and field.message_type is not None:
            return str(field.name)
    return None


def _collection(method: Method) -> str | None:
    """Return the collection that a create method adds to: its kind in the plural, as a sibling method's path has it."""
    siblings = methods(method.version, method.service)
    kind = method.name.removeprefix("Create")
    for sibling in (f"Get{kind}", f"Delete{kind}"):
        if sibling in siblings and (found := re.search(r"/([A-Za-z]+)/\*\}$", siblings[sibling].rules[0].uri)):
            return found[1]
    found = _COLLECTION.search(method.rules[0].uri)
    return found[1] if found else None
