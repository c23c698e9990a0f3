"""Vertex ML Metadata: contexts in contexts, what belongs to them, and which execution read and wrote what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message, methods
from cloudmlops.emulators.google.aiplatform.filtering import Functions, test_of
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handler, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.paging import page

_SERVICE = "MetadataService"
_MOST_SHOWN = 100
"""Names in a purge's sample."""


def metadata_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of MetadataService that are more than keeping records."""
    metadata = Metadata(vertex)
    return {
        "MetadataService.AddContextChildren": metadata.add_children,
        "MetadataService.RemoveContextChildren": metadata.remove_children,
        "MetadataService.AddContextArtifactsAndExecutions": metadata.add_members,
        "MetadataService.AddExecutionEvents": metadata.add_events,
        "MetadataService.QueryContextLineageSubgraph": metadata.context_lineage,
        "MetadataService.QueryExecutionInputsAndOutputs": metadata.inputs_and_outputs,
        "MetadataService.QueryArtifactLineageSubgraph": metadata.artifact_lineage,
        "MetadataService.ListArtifacts": metadata.listing("artifacts", "Artifact", "ListArtifacts"),
        "MetadataService.ListExecutions": metadata.listing("executions", "Execution", "ListExecutions"),
        "MetadataService.ListContexts": metadata.listing("contexts", "Context", "ListContexts"),
        "MetadataService.PurgeArtifacts": metadata.purging("artifacts", "Artifact"),
        "MetadataService.PurgeExecutions": metadata.purging("executions", "Execution"),
        "MetadataService.PurgeContexts": metadata.purging("contexts", "Context"),
    }


class Metadata:
    """The links between records; the records themselves are plain resources."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._resources = vertex.resources
        self._members = vertex.surroundings.state.table("metadata_members")
        self._events = vertex.surroundings.state.table("metadata_events")

    def add_children(self, request: Any, asking: Asking) -> Any:
        """Put contexts into a context."""
        return self._change_children(request, asking, lambda parents: dict.fromkeys([*parents, request.context]))

    def remove_children(self, request: Any, asking: Asking) -> Any:
        """Take contexts out of a context."""
        return self._change_children(request, asking, lambda parents: (p for p in parents if p != request.context))

    def add_members(self, request: Any, asking: Asking) -> Any:
        """Let artifacts and executions belong to a context."""
        with self._resources.transaction():
            self._resources.get(request.context, message("Context"))
            for kind, names in (("Artifact", request.artifacts), ("Execution", request.executions)):
                for name in names:
                    self._resources.get(name, message(kind))
                self.belong(request.context, names)
        return asking.method.response()

    def add_events(self, request: Any, asking: Asking) -> Any:
        """Note what an execution read and wrote; the same once only."""
        with self._resources.transaction():
            self._resources.get(request.execution, message("Execution"))
            for event in request.events:
                self._resources.get(event.artifact, message("Artifact"))
                event.execution = request.execution
                if not event.HasField("event_time"):
                    event.event_time.FromDatetime(self._vertex.surroundings.clock.now().replace(tzinfo=None))
                self.link(event)
        return asking.method.response()

    def belong(self, context: str, names: Iterable[str]) -> None:
        """Let artifacts and executions belong to a context."""
        for name in names:
            self._members.put(json.dumps([context, name]), b"")

    def link(self, event: Any) -> None:
        """Note that an execution read or wrote an artifact; the same once only."""
        key = json.dumps([event.execution, event.artifact, event.type_])
        self._events.create(key, event.SerializeToString())

    def context_lineage(self, request: Any, _: Asking) -> Any:
        """Return what belongs to a context, with its events."""
        with self._resources.transaction():
            self._resources.get(request.context, message("Context"))
            members = set(self._members_of(request.context))
            events = [event for event in self._all_events() if event.execution in members or event.artifact in members]
            return self._graph(members, events)

    def inputs_and_outputs(self, request: Any, _: Asking) -> Any:
        """Return what an execution read and wrote."""
        with self._resources.transaction():
            self._resources.get(request.execution, message("Execution"))
            events = [event for event in self._all_events() if event.execution == request.execution]
            return self._graph({request.execution, *(event.artifact for event in events)}, events)

    def artifact_lineage(self, request: Any, _: Asking) -> Any:
        """Return what an artifact came from and went into; a hop is to an execution, or back to an artifact."""
        if request.filter:
            raise Refused("UNIMPLEMENTED", "QueryArtifactLineageSubgraph with a filter is not emulated.")
        with self._resources.transaction():
            self._resources.get(request.artifact, message("Artifact"))
            seen, hops = {request.artifact}, request.max_hops if request.max_hops > 0 else None
            used: dict[tuple[str, str, int], Any] = {}
            while hops is None or hops > 0:
                touching = [event for event in self._all_events() if {event.artifact, event.execution} & seen]
                used |= {(event.execution, event.artifact, event.type_): event for event in touching}
                found = seen | {name for event in touching for name in (event.artifact, event.execution)}
                if found == seen:
                    break
                seen, hops = found, hops - 1 if hops is not None else None
            inside = [event for event in used.values() if {event.artifact, event.execution} <= seen]
            return self._graph(seen, inside)

    def listing(self, collection: str, kind: str, method: str) -> Handler:
        """Return the handler that lists one kind; filters may ask for a context's members."""

        def listed(request: Any, _: Asking) -> Any:
            with self._resources.transaction():
                self._resources.get(request.parent, message("MetadataStore"))
                found = self._resources.list(request.parent, collection, message(kind))
                part, token = page(found, request, kind=message(kind), functions=self._functions)
            response: Any = methods("v1", _SERVICE)[method].response()
            getattr(response, collection).extend(part)
            response.next_page_token = token
            return response

        return listed

    def purging(self, collection: str, kind: str) -> Handler:
        """Return the handler that removes all of one kind that pass a filter; without force, it tells which."""
        response = message(f"Purge{collection.title()}Response")

        def purge(request: Any, asking: Asking) -> Any:
            def found() -> list[Any]:
                store = self._resources.get(request.parent, message("MetadataStore"))
                test = test_of(request.filter, self._functions, message(kind))
                return [one for one in self._resources.list(store.name, collection, message(kind)) if test(one)]

            def work() -> Any:
                with self._resources.transaction():
                    names = [one.name for one in found()]
                    for name in names if request.force else ():
                        self._resources.delete(name)
                return response(purge_count=len(names), purge_sample=[] if request.force else names[:_MOST_SHOWN])

            found()
            return self._vertex.operations.begin(asking.method, request.parent, work)

        return purge

    @property
    def _functions(self) -> Functions:
        def in_context(wanted: str) -> Callable[[Message], bool]:
            members = set(self._members_of(self._vertex.projects.canonical(wanted)))
            return lambda found: getattr(found, "name", "") in members

        return {"in_context": in_context}

    def _change_children(self, request: Any, asking: Asking, changed: Callable[[Iterable[str]], Iterable[str]]) -> Any:
        with self._resources.transaction():
            self._resources.get(request.context, message("Context"))
            for name in request.child_contexts:
                child: Any = self._resources.get(name, message("Context"))
                child.parent_contexts[:] = list(changed(list(child.parent_contexts)))
                self._resources.keep(name, child)  # its etag stays: the SDK goes on with the one it has
        return asking.method.response()

    def _members_of(self, context: str) -> list[str]:
        """Return what belongs to a context and to those in it."""
        beginning = json.dumps([context])[:-1]
        found = [json.loads(key)[1] for key, _ in self._members.items(beginning)]
        store = context.partition("/contexts/")[0]
        for inner in self._resources.list(store, "contexts", message("Context")):
            if context in inner.parent_contexts:
                found += self._members_of(inner.name)
        return found

    def _all_events(self) -> list[Any]:
        return [message("Event").FromString(data) for _, data in self._events.items()]

    def _graph(self, names: Iterable[str], events: list[Any]) -> Any:
        graph: Any = message("LineageSubgraph")(events=events)
        for name in sorted(names):
            kind, kept = ("Artifact", graph.artifacts) if "/artifacts/" in name else ("Execution", graph.executions)
            if (found := self._resources.find(name, message(kind))) is not None:
                kept.append(found)
        return graph
