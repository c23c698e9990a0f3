"""The messages of Terraform's plugin protocol 5 that a provider without a cloud needs, made at import.

Field numbers are the published protocol's. What is not in the table is skipped when it is read, as protobuf has it.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "tfcheck"
_PROTOCOL: Final = {
    "AttributePath": "*Step steps=1",
    "Attribute": "string name=1; bytes type=2; bool required=4; bool optional=5; bool computed=6; bool write_only=10",
    "Block": "int64 version=1; *Attribute attributes=2; *NestedBlock block_types=3",
    "Capabilities": "bool plan_destroy=1; bool get_provider_schema_optional=2",
    "Diagnostic": "int64 severity=1; string summary=2; string detail=3; AttributePath attribute=4",
    "DynamicValue": "bytes msgpack=1; bytes json=2",
    "Empty": "",
    "NestedBlock": "string type_name=1; Block block=2; int64 nesting=3; int64 min_items=4; int64 max_items=5",
    "RawState": "bytes json=1",
    "Schema": "int64 version=1; Block block=2",
    "Step": "string attribute_name=1; string element_key_string=2; int64 element_key_int=3",
    "ApplyAsked": "string type_name=1; DynamicValue planned_state=3; bytes planned_private=5",
    "Applied": "DynamicValue new_state=1; bytes private=2; *Diagnostic diagnostics=3",
    "ConfigAsked": "string type_name=1; DynamicValue config=2",
    "DataRead": "DynamicValue state=1; *Diagnostic diagnostics=2",
    "PlanAsked": (
        "string type_name=1; DynamicValue prior_state=2; DynamicValue proposed_new_state=3; bytes prior_private=5"
    ),
    "Planned": "DynamicValue planned_state=1; bytes planned_private=3; *Diagnostic diagnostics=4",
    "PrepareAsked": "DynamicValue config=1",
    "Prepared": "DynamicValue prepared_config=1; *Diagnostic diagnostics=2",
    "ReadAsked": "string type_name=1; DynamicValue current_state=2; bytes private=3",
    "ResourceRead": "DynamicValue new_state=1; *Diagnostic diagnostics=2; bytes private=3",
    "Schemas": (
        "Schema provider=1; %Schema resource_schemas=2; %Schema data_source_schemas=3; Capabilities capabilities=6"
    ),
    "Stopped": "string error=1",
    "Told": "*Diagnostic diagnostics=1",
    "UpgradeAsked": "string type_name=1; int64 version=2; RawState raw_state=3",
    "Upgraded": "DynamicValue upgraded_state=1; *Diagnostic diagnostics=2",
}
"""Message: its fields, `TYPE NAME=NUMBER`; `*` is repeated, `%` a map from text."""
_SCALARS: Final = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}


def _add_field(message: Any, name: str, kind: str, number: int) -> None:
    field = message.field.add(name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    if kind[0] in "*%":
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    if kind[0] == "%":
        entry = message.nested_type.add(name=f"{''.join(word.title() for word in name.split('_'))}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", "string", 1)
        _add_field(entry, "value", kind[1:], 2)
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
    elif scalar := _SCALARS.get(kind.lstrip("*")):
        field.type = scalar
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind.lstrip('*')}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for message_name, fields in _PROTOCOL.items():
        message = file.message_type.add(name=message_name)
        for field in filter(None, fields.split("; ")):
            kind, _, rest = field.partition(" ")
            name, _, number = rest.partition("=")
            _add_field(message, name, kind, int(number))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _PROTOCOL}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


MESSAGES: Final = _classes()
"""The class of each message, by name."""
