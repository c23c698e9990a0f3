"""Who may publish and receive: by a key, a signature or a token of Microsoft Entra ID."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import AUDIENCE
from cloudmlops.emulators.azure.eventgrid.keys import Keys, is_key
from cloudmlops.emulators.core.answering import Asked
from cloudmlops.emulators.core.faults import Refused

SEND: Final = "Microsoft.EventGrid/events/send/action"
RECEIVE: Final = "Microsoft.EventGrid/events/receive/action"
_MISSING: Final = "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key."
_NOT_BASE64: Final = (
    "This is due to the reason: The input is not a valid Base-64 string as it contains a non-base 64 character, more "
    "than two padding characters, or an illegal character among the padding characters."
)


class Admission:
    """Lets callers in."""

    def __init__(self, world: World, keys: Keys) -> None:
        self._world = world
        self._keys = keys

    def to_topic(self, asked: Asked, topic: Mapping[str, Any], host: str) -> None:
        """Let somebody publish to a basic topic.

        Raises:
            Refused: They show nothing, or what they show does not allow it.
        """
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        token = asked.headers.get("aeg-sas-token") or (rest if scheme.lower() == "sharedaccesssignature" else "")
        if "aeg-sas-key" in asked.headers:
            self._check_local(topic)
            self._check_key(asked.headers["aeg-sas-key"], topic["id"], host)
        elif token:
            self._check_local(topic)
            # As for tokens of Entra, the machine's time counts: it is what the caller's program goes by.
            if not self._keys.signed(topic["id"], token, hosts=_names(asked, host), now=datetime.now(UTC)):
                raise _unauthorized(_not_for(host))
        elif scheme.lower() == "bearer":
            self._check_token(asked, SEND, topic["id"])
        else:
            raise _unauthorized(_MISSING)

    def to_namespace(self, asked: Asked, namespace: str, resource: str, action: str) -> None:
        """Let somebody publish to a topic of a namespace, or receive from a subscription.

        Args:
            asked: The request.
            namespace: Its id, whose keys count.
            resource: Id of the topic or the subscription, whose roles count.
            action: `SEND` or `RECEIVE`.

        Raises:
            Refused: They show nothing, or what they show does not allow it.
        """
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "sharedaccesskey":
            topic = resource.partition("/eventSubscriptions/")[0]
            if not any(self._keys.fits(owner, rest.strip()) for owner in (namespace, topic)):
                raise _unauthorized("The shared access key is not valid.")
        elif scheme.lower() == "bearer":
            self._check_token(asked, action, resource)
        else:
            raise _unauthorized("The request does not contain valid authentication information.")

    def _check_token(self, asked: Asked, action: str, resource: str) -> None:
        caller = self._world.tokens.caller(asked.headers.get("authorization"), audiences=(AUDIENCE,))
        if not self._world.access.granted(caller.object_id, action, resource, data=True):
            does = "send data to" if action == SEND else "receive data from"
            raise Refused(
                "PERMISSION_DENIED",
                "The principal associated with access token presented with the incoming request does not have "
                f"permission to {does} {resource}.",
                reason="Forbidden",
            )

    def _check_key(self, key: str, topic: str, host: str) -> None:
        if not key:
            raise Refused("INVALID_ARGUMENT", "Request must have a value for aeg-sas-key.", reason="BadRequest")
        if not is_key(key):
            raise _unauthorized(f"{_not_for(host)} {_NOT_BASE64}")
        if not self._keys.fits(topic, key):
            raise _unauthorized(_not_for(host))

    def _check_local(self, topic: Mapping[str, Any]) -> None:
        if topic["properties"].get("disableLocalAuth"):
            raise _unauthorized("Local authentication is disabled for this topic.")


def _names(asked: Asked, host: str) -> frozenset[str]:
    """Return the hosts for which a signature counts: the topic's, and where it is asked in plain HTTP."""
    return frozenset({host, asked.host.partition(":")[0].lower()})


def _not_for(host: str) -> str:
    return f"The request authorization key is not authorized for {host.upper()}."


def _unauthorized(message: str) -> Refused:
    return Refused("UNAUTHENTICATED", message, reason="Unauthorized")
