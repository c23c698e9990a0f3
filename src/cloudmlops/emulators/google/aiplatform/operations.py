"""Long-running operations: begun by a method, ended now or when the clock says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any, Final

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.paging import page

_log: Final = logging.getLogger("cloudmlops.emulators")
_TYPE_URL: Final = "type.googleapis.com/"


class Operations:
    """All operations of Vertex AI. `takes` is how long one lasts by the emulator's clock."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._table = state.table("aiplatform_operations")
        self.takes = timedelta(0)
        """Zero ends an operation before its method returns; tests of waiting make it longer."""
        self.stuck = False
        """Operations begun from now on never end."""
        self.ended: Callable[[Any], None] = lambda _: None
        """Is told of every operation that has ended, well or not."""
        self._at_work: dict[str, Thread] = {}
        for name, data in self._table.items() if state.durable else ():
            self._give_up(name, data)

    def begin(
        self,
        method: Method,
        resource: str,
        work: Callable[[], Message],
        metadata: Message | None = None,
        *,
        apart: bool = False,
    ) -> Any:
        """Begin an operation that ends with what `work` returns or refuses.

        Args:
            method: The one that was called; it says the types of result and metadata.
            resource: What is worked on; the operation's name lies below it.
            work: Done at the end of the operation's time.
            metadata: Beside the generic one; None for an empty one of the method's type.
            apart: Whether the work takes real time: it is done in a thread of its own, after the method has returned,
                and cannot be cancelled.
        """
        if method.operation is None:
            raise TypeError(f"{method.key} is not a long-running method")
        operation = operations_pb2.Operation(name=f"{resource}/operations/{new_id()}")
        described = method.operation[1]()
        if metadata is not None:
            described.MergeFromString(metadata.SerializeToString())
        self._stamp(described, "create_time", "update_time")
        operation.metadata.CopyFrom(_packed(described))
        if self.stuck:
            self._keep(operation)
        elif self.takes or apart:
            self._keep(operation)
            end = self._end_apart if apart else self._end
            if self.takes:
                self._clock.after(self.takes, lambda: end(operation.name, method, work))
            else:
                end(operation.name, method, work)
        else:
            result = work()  # what it refuses, the method itself refuses
            self._done(operation, method, result)
        return operation

    def get(self, name: str) -> Any:
        """Return an operation.

        Raises:
            Refused: There is none.
        """
        data = self._table.get(name)
        if data is None:
            raise Refused("NOT_FOUND", f"The operation {name} does not exist.")
        return operations_pb2.Operation.FromString(data)

    def list(self, request: Any) -> Any:
        """Answer ListOperations."""
        beginning = f"{request.name}/operations/" if not request.name.endswith("/operations") else f"{request.name}/"
        found = [operations_pb2.Operation.FromString(data) for _, data in self._table.items(beginning)]
        part, token = page(found, request)
        return operations_pb2.ListOperationsResponse(operations=part, next_page_token=token)

    def cancel(self, name: str) -> Any:
        """End an operation that goes on as cancelled; one that is done stays as it is."""
        with self._state.transaction():
            operation = self.get(name)
            if not operation.done and name not in self._at_work:
                operation.done = True
                operation.error.code = code_pb2.CANCELLED
                operation.error.message = "The operation was cancelled."
                self._keep(operation)
        return empty_pb2.Empty()

    def delete(self, name: str) -> Any:
        """Forget an operation."""
        self.get(name)
        self._table.delete(name)
        return empty_pb2.Empty()

    def _give_up(self, name: str, data: bytes) -> None:
        """End an operation that was under way when an emulator with this state ended: nothing ends it any more."""
        operation = operations_pb2.Operation.FromString(data)
        if not operation.done:
            operation.done = True
            operation.error.code = code_pb2.ABORTED
            operation.error.message = "The emulator was stopped while the operation was under way."
            self._table.put(name, operation.SerializeToString())

    def close(self) -> None:
        """Wait for the ends of what goes on apart."""
        for thread in tuple(self._at_work.values()):
            thread.join()

    def _end_apart(self, name: str, method: Method, work: Callable[[], Message]) -> None:
        def end() -> None:
            try:
                self._end(name, method, work)
            finally:
                del self._at_work[name]

        self._at_work[name] = thread = Thread(target=end, name="operation", daemon=True)
        thread.start()

    def _end(self, name: str, method: Method, work: Callable[[], Message]) -> None:
        operation = self.get(name)
        if operation.done:
            return
        try:
            result = work()
        except Refused as refused:
            operation.done = True
            operation.error.code = code_pb2.Code.Value(refused.code)
            operation.error.message = refused.message
            self._keep(operation)
        except Exception as error:  # noqa: BLE001 told to the client as the operation's error
            _log.exception("operation %s failed", name)
            operation.done = True
            operation.error.code = code_pb2.INTERNAL
            operation.error.message = f"{type(error).__name__}: {error}"
            self._keep(operation)
        else:
            self._done(operation, method, result)

    def _done(self, operation: Any, method: Method, result: Message) -> None:
        if method.operation is None:
            raise TypeError(f"{method.key} is not a long-running method")
        operation.done = True
        converted = method.operation[0].FromString(result.SerializeToString())
        operation.response.CopyFrom(_packed(converted))
        metadata = method.operation[1].FromString(operation.metadata.value)
        self._stamp(metadata, "update_time")
        operation.metadata.CopyFrom(_packed(metadata))
        self._keep(operation)

    def _stamp(self, metadata: Any, *times: str) -> None:
        if "generic_metadata" not in metadata.DESCRIPTOR.fields_by_name:
            return
        for field in times:
            getattr(metadata.generic_metadata, field).FromDatetime(self._clock.now().replace(tzinfo=None))

    def _keep(self, operation: Any) -> None:
        self._table.put(operation.name, operation.SerializeToString())
        if operation.done:
            self.ended(operation)


def _packed(message: Message) -> Any:
    return any_pb2.Any(type_url=_TYPE_URL + message.DESCRIPTOR.full_name, value=message.SerializeToString())
