"""Random sequences of operations against a plain model of a container: on our emulator, and on Azurite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContainerClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.emulators.azure.blob.places import Place

Outcome = object
NAMES = st.sampled_from(["b/1", "b/2", "ü c"])
CONTENT = st.binary(max_size=40)
BLOCK = st.binary(min_size=1, max_size=40)
"""Azure's client sends no empty one."""
BLOCKS = st.sampled_from(["0001", "0002", "0003"])


@dataclass
class Kept:
    content: bytes
    kind: str = "BlockBlob"
    blocks: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """A container as it should be."""

    blobs: dict[str, Kept] = field(default_factory=dict)
    waiting: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def put(self, name: str, content: bytes, overwrite: bool) -> Outcome:
        if name in self.blobs and not overwrite:
            return 409
        self.blobs[name] = Kept(content)
        self.waiting.pop(name, None)
        return None

    def stage(self, name: str, block: str, content: bytes) -> Outcome:
        if name in self.blobs and self.blobs[name].kind != "BlockBlob":
            return 409
        self.waiting.setdefault(name, {})[block] = content
        return None

    def commit(self, name: str, blocks: list[str]) -> Outcome:
        known = self.blobs.get(name)
        if known is not None and known.kind != "BlockBlob":
            return 409
        places = {**(known.blocks if known else {}), **self.waiting.get(name, {})}
        if any(block not in places for block in blocks):
            return 400
        chosen = {block: places[block] for block in blocks}
        self.blobs[name] = Kept(b"".join(places[block] for block in blocks), blocks=chosen, order=list(blocks))
        self.waiting.pop(name, None)
        return None

    def create_append(self, name: str) -> Outcome:
        self.blobs[name] = Kept(b"", kind="AppendBlob")
        self.waiting.pop(name, None)
        return None

    def append(self, name: str, content: bytes) -> Outcome:
        if name not in self.blobs:
            return 404
        if self.blobs[name].kind != "AppendBlob":
            return 409
        self.blobs[name].content += content
        return None

    def copy(self, source: str, name: str) -> Outcome:
        if source not in self.blobs:
            return 404
        known = self.blobs[source]
        self.blobs[name] = Kept(known.content, known.kind, dict(known.blocks), list(known.order), dict(known.metadata))
        self.waiting.pop(name, None)
        return None

    def set_metadata(self, name: str, value: str) -> Outcome:
        if name not in self.blobs:
            return 404
        self.blobs[name].metadata = {"k": value}
        return None

    def delete(self, name: str) -> Outcome:
        if name not in self.blobs:
            return 404
        del self.blobs[name]
        self.waiting.pop(name, None)
        return None

    def read(self, name: str, offset: int, length: int) -> Outcome:
        if name not in self.blobs:
            return 404
        content = self.blobs[name].content
        return content[offset : offset + length] if offset < len(content) else "nothing"

    def list(self, prefix: str) -> Outcome:
        return sorted(
            (name, len(one.content), one.kind, one.metadata)
            for name, one in self.blobs.items()
            if name.startswith(prefix)
        )


class Wire:
    """The same of a container behind the wire."""

    def __init__(self, container: ContainerClient) -> None:
        self.container = container

    def put(self, name: str, content: bytes, overwrite: bool) -> Outcome:
        return outcome(lambda: self.container.upload_blob(name, content, overwrite=overwrite))

    def stage(self, name: str, block: str, content: bytes) -> Outcome:
        return outcome(lambda: self.container.get_blob_client(name).stage_block(block, content))

    def commit(self, name: str, blocks: list[str]) -> Outcome:
        chosen = [BlobBlock(block) for block in blocks]
        return outcome(lambda: self.container.get_blob_client(name).commit_block_list(chosen))

    def create_append(self, name: str) -> Outcome:
        return outcome(lambda: self.container.get_blob_client(name).create_append_blob())

    def append(self, name: str, content: bytes) -> Outcome:
        return outcome(lambda: self.container.get_blob_client(name).append_block(content))

    def copy(self, source: str, name: str) -> Outcome:
        url = self.container.get_blob_client(source).url
        return outcome(lambda: self.container.get_blob_client(name).start_copy_from_url(url))

    def set_metadata(self, name: str, value: str) -> Outcome:
        return outcome(lambda: self.container.get_blob_client(name).set_blob_metadata({"k": value}))

    def delete(self, name: str) -> Outcome:
        return outcome(lambda: self.container.delete_blob(name))

    def read(self, name: str, offset: int, length: int) -> Outcome:
        try:
            return self.container.download_blob(name, offset=offset, length=length).readall()
        except HttpResponseError as error:
            return "nothing" if error.status_code == 416 else error.status_code

    def list(self, prefix: str) -> Outcome:
        listed = self.container.list_blobs(name_starts_with=prefix, include=["metadata"], results_per_page=2)
        return [(one.name, one.size, str(one.blob_type.value), one.metadata or {}) for one in listed]


def outcome(call: Callable[[], object]) -> Outcome:
    try:
        call()
    except HttpResponseError as error:
        return error.status_code
    return None


STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, CONTENT, st.booleans()),
    st.tuples(st.just("stage"), NAMES, BLOCKS, BLOCK),
    st.tuples(st.just("commit"), NAMES, st.lists(BLOCKS, max_size=4)),
    st.tuples(st.just("create_append"), NAMES),
    st.tuples(st.just("append"), NAMES, BLOCK),
    st.tuples(st.just("copy"), NAMES, NAMES),
    st.tuples(st.just("set_metadata"), NAMES, st.sampled_from(["1", "2"])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("read"), NAMES, st.integers(0, 50), st.integers(1, 50)),
    st.tuples(st.just("list"), st.sampled_from(["", "b/", "z"])),
)


def check(place: Place, steps: list[tuple[str, ...]]) -> None:
    model = Model()
    with place.container() as container:
        wire = Wire(container)
        for name, *arguments in steps:
            assert getattr(wire, name)(*arguments) == getattr(model, name)(*arguments), (name, arguments)
        assert wire.list("") == model.list("")
        for name, kept in model.blobs.items():
            assert container.download_blob(name).readall() == kept.content
            if kept.kind == "BlockBlob":
                committed, uncommitted = container.get_blob_client(name).get_block_list("all")
                assert [(one.id, one.size) for one in committed] == [(one, len(kept.blocks[one])) for one in kept.order]
                assert {one.id: one.size for one in uncommitted} == {
                    one: len(content) for one, content in model.waiting.get(name, {}).items()
                }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=5, max_size=30))
def test_a_container_is_what_a_plain_model_of_it_is(emulated: Place, steps: list[tuple[str, ...]]) -> None:
    check(emulated, steps)


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@settings(max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=10, max_size=60))
def test_thousands_of_containers_are_what_a_plain_model_is(emulated: Place, steps: list[tuple[str, ...]]) -> None:
    check(emulated, steps)
