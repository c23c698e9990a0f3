"""A toy cloud: notes that are put and got, over HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.rpc import Caller, Method, unary_handler
from cloudmlops.emulators.core.service import Service, Surroundings

PUT = "/toy.v1.Notes/Put"
GET = "/toy.v1.Notes/Get"


class Toy:
    """A cloud of two services: one of both wires, one of HTTP alone at a path of its own."""

    def __init__(self) -> None:
        self.resets = 0

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        self.notes = Notes(surroundings)
        methods = {
            PUT: Method(request=StringValue, act=self.notes.rpc_put, resource=lambda request: str(request.value)),
            GET: Method(request=StringValue, act=self.notes.rpc_get, resource=lambda request: str(request.value)),
        }
        return [
            Service(
                name="toy",
                hosts=("toy.example", "*-toy.example"),
                paths=("/toy",),
                http=app(surroundings, "toy", find=self.notes.find, refusal=refusal),
                rpc=unary_handler(surroundings, "toy", methods, domain="toy.example"),
                close=self.notes.close,
            ),
            Service(
                name="other",
                hosts=("other.example",),
                paths=("/toy/*/other", "/toy/*/last$"),
                http=app(
                    surroundings, "other", find=lambda asked: ("look", lambda _: text(asked.path)), refusal=refusal
                ),
            ),
        ]

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        return {"TOY_FOLDER": str(folder), "LEADS_PAST": None}

    def reset(self) -> None:
        self.resets += 1


@dataclass
class Notes:
    surroundings: Surroundings
    closed: bool = False
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = self.surroundings.state.table("notes")

    def find(self, asked: Asked) -> tuple[str, Operation]:
        acts = {"PUT": ("notes.put", self.put), "GET": ("notes.get", self.get), "DELETE": ("notes.break", self.break_)}
        if asked.method not in acts:
            raise Refused("UNIMPLEMENTED", f"{asked.method} is not emulated")
        return acts[asked.method]

    def put(self, asked: Asked) -> Answer:
        self.table.put(asked.path, asked.body)
        return answer_json({"kept": len(asked.body)})

    def get(self, asked: Asked) -> Answer:
        found = self.table.get(asked.path)
        if found is None:
            raise Refused("NOT_FOUND", f"no note {asked.path}")
        return Answer(body=found)

    def break_(self, asked: Asked) -> Answer:
        raise ZeroDivisionError(asked.path)

    def rpc_put(self, request: StringValue, caller: Caller) -> StringValue:
        self.table.put(request.value, b"rpc")
        return request

    def rpc_get(self, request: StringValue, caller: Caller) -> StringValue:
        if self.table.get(request.value) is None:
            raise Refused("NOT_FOUND", f"no note {request.value}", reason="noNote", retry_after_seconds=1.5)
        return StringValue(value=caller.metadata.get("x-who", "nobody"))

    def close(self) -> None:
        self.closed = True


def text(content: str) -> Answer:
    return Answer(body=content.encode())


def refusal(refused: Refused) -> Answer:
    body: dict[str, Any] = {"code": refused.code, "message": refused.message}
    return answer_json(body, status=HTTP_STATUS[refused.code])
