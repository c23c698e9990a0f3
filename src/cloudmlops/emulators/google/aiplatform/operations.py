"""Long-running operations: begun by a method, ended now or when the clock says so, also after a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
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
from cloudmlops.emulators.google.aiplatform.names import NAME, new_id
from cloudmlops.emulators.google.aiplatform.paging import page
from cloudmlops.emulators.google.aiplatform.unfinished import Asked, Unfinished, answering, asked

_log: Final = logging.getLogger("cloudmlops.emulators")
_TYPE_URL: Final = "type.googleapis.com/"
_STOPPED: Final = Refused("ABORTED", "The emulator was stopped while the operation was carried out.")


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
        self.left: list[Callable[[], None]] = []
        """What else is to be gone on with when an emulator is started again with a state that was kept."""
        self._at_work: dict[str, Thread] = {}
        self._ending: set[str] = set()
        """What is being done just now: to cancel it comes too late."""
        self._unfinished = Unfinished(state)

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
        call = asked()
        if call is not None and call.goes_on:
            return self._go_on(call.goes_on, method, work, metadata, apart=apart)
        operation = operations_pb2.Operation(name=f"{resource}/operations/{new_id()}")
        described = method.operation[1]()
        if metadata is not None:
            described.MergeFromString(metadata.SerializeToString())
        self._stamp(described, "create_time", "update_time")
        operation.metadata.CopyFrom(_packed(described))
        if self.stuck or self.takes or apart:
            now = self._clock.now()
            with self._state.transaction():
                self._keep(operation)
                self._unfinished.note(operation.name, begun=now, due=now + self.takes)
            if not self.stuck:
                self._end_at(now + self.takes if self.takes else None, operation.name, method, work, apart=apart)
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
        """Answer ListOperations: those on a resource, or on all that is in a location."""
        name = request.name.removesuffix("/operations")
        place = NAME.match(name)
        if place is None:
            raise Refused("INVALID_ARGUMENT", f"Invalid resource name {request.name!r} in name.")
        beginning = f"{name}/operations/" if place[3] else f"{name}/"
        found = [operations_pb2.Operation.FromString(data) for _, data in self._table.items(beginning)]
        part, token = page(found, request, kind=operations_pb2.Operation)
        return operations_pb2.ListOperationsResponse(operations=part, next_page_token=token)

    def cancel(self, name: str) -> Any:
        """End an operation that goes on as cancelled; one that is done stays as it is."""
        with self._state.transaction():
            operation = self.get(name)
            if not operation.done and name not in self._at_work and name not in self._ending:
                operation.done = True
                operation.error.code = code_pb2.CANCELLED
                operation.error.message = "The operation was cancelled."
                self._keep(operation)
        return empty_pb2.Empty()

    def delete(self, name: str) -> Any:
        """Forget an operation."""
        self.get(name)
        with self._state.transaction():
            self._table.delete(name)
            self._unfinished.forget(name)
        return empty_pb2.Empty()

    def take_up(self, again: Callable[[Asked], None]) -> None:
        """Go on with what was under way when an emulator with this state ended, by its due time.

        Args:
            again: Makes a call again, which begins what it began.
        """
        going = [operations_pb2.Operation.FromString(data) for _, data in self._table.items()]
        found = [(self._unfinished.find(operation.name), operation) for operation in going if not operation.done]
        for left, operation in sorted(found, key=lambda one: (one[0].due, one[0].begun) if one[0] else ("", "")):
            if left is None or left.working:
                self._fail(operation, _STOPPED)
                continue
            call = left.asked(operation.name)
            try:
                with answering(call):
                    again(call)
            except Refused as refused:
                self._fail(operation, refused)
        while self.left:
            self.left.pop(0)()

    def close(self) -> None:
        """Wait for the ends of what goes on apart."""
        for thread in tuple(self._at_work.values()):
            thread.join()

    def _go_on(
        self, name: str, method: Method, work: Callable[[], Message], metadata: Message | None, *, apart: bool
    ) -> Any:
        """Do for an operation of before what is done for one that begins."""
        if metadata is not None:
            with self._state.transaction():
                operation = self.get(name)
                operation.metadata.value += metadata.SerializeToString()  # to append a message is to merge it
                self._keep(operation)
        left = self._unfinished.find(name)
        due = left.end if left is not None and left.end > self._clock.now() else None
        self._end_at(due, name, method, work, apart=apart)
        return self.get(name)

    def _end_at(
        self, due: datetime | None, name: str, method: Method, work: Callable[[], Message], *, apart: bool
    ) -> None:
        end = self._end_apart if apart else self._end_once
        if due is None:
            end(name, method, work)
        else:
            self._clock.at(due, lambda: end(name, method, work))

    def _end_once(self, name: str, method: Method, work: Callable[[], Message]) -> None:
        self._unfinished.working(name)
        self._end(name, method, work)

    def _end_apart(self, name: str, method: Method, work: Callable[[], Message]) -> None:
        def end() -> None:
            try:
                self._end(name, method, work)
            finally:
                del self._at_work[name]

        self._at_work[name] = thread = Thread(target=end, name="operation", daemon=True)
        thread.start()

    def _end(self, name: str, method: Method, work: Callable[[], Message]) -> None:
        with self._state.transaction():
            operation = self.get(name)
            if operation.done:
                return
            self._ending.add(name)
        try:
            result = work()
        except Refused as refused:
            self._fail(operation, refused)
        except Exception as error:  # noqa: BLE001 told to the client as the operation's error
            _log.exception("operation %s failed", name)
            self._fail(operation, Refused("INTERNAL", f"{type(error).__name__}: {error}"))
        else:
            self._done(operation, method, result)
        finally:
            self._ending.discard(name)

    def _fail(self, operation: Any, refused: Refused) -> None:
        if self._clock.stopped:
            return  # it is the emulator's end that is the reason: the next one with this state goes on
        operation.done = True
        operation.error.code = code_pb2.Code.Value(refused.code)
        operation.error.message = refused.message
        self._keep(operation)

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
        with self._state.transaction():
            self._table.put(operation.name, operation.SerializeToString())
            if operation.done:
                self._unfinished.forget(operation.name)
        if operation.done:
            self.ended(operation)


def _packed(message: Message) -> Any:
    return any_pb2.Any(type_url=_TYPE_URL + message.DESCRIPTOR.full_name, value=message.SerializeToString())
