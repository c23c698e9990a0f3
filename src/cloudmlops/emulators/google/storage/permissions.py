"""Who may do what: each operation's permission, asked of the emulator's access rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.storage.wire import Asked
from cloudmlops.emulators.google.tokens import ANONYMOUS, Tokens

PERMISSIONS: Final[Mapping[str, str]] = {
    "buckets.delete": "storage.buckets.delete",
    "buckets.get": "storage.buckets.get",
    "buckets.getIamPolicy": "storage.buckets.getIamPolicy",
    "buckets.getStorageLayout": "storage.objects.list",
    "buckets.insert": "storage.buckets.create",
    "buckets.list": "storage.buckets.list",
    "buckets.lockRetentionPolicy": "storage.buckets.update",
    "buckets.patch": "storage.buckets.update",
    "buckets.setIamPolicy": "storage.buckets.setIamPolicy",
    "buckets.update": "storage.buckets.update",
    "objects.cancelUpload": "storage.objects.create",
    "objects.compose": "storage.objects.create",
    "objects.copy": "storage.objects.create",
    "objects.delete": "storage.objects.delete",
    "objects.get": "storage.objects.get",
    "objects.insert": "storage.objects.create",
    "objects.list": "storage.objects.list",
    "objects.move": "storage.objects.move",
    "objects.patch": "storage.objects.update",
    "objects.rewrite": "storage.objects.create",
    "objects.update": "storage.objects.update",
    "xml.multipart.abort": "storage.multipartUploads.abort",
    "xml.multipart.complete": "storage.multipartUploads.create",
    "xml.multipart.initiate": "storage.multipartUploads.create",
    "xml.multipart.list": "storage.multipartUploads.list",
    "xml.multipart.part": "storage.multipartUploads.create",
    "xml.multipart.parts": "storage.multipartUploads.listParts",
}
_COPIES: Final = frozenset({"objects.copy", "objects.rewrite"})
_ISSUED_HERE: Final = "bearer ya29.emulated."


class Permissions:
    """The rules of one emulator."""

    def __init__(self, state: State) -> None:
        self._tokens = Tokens(state)
        self._access = Access(state)

    def check(self, asked: Asked, operation: str, *, bucket: str = "", name: str = "", to_bucket: str = "") -> None:
        """Refuse whoever may not do `operation`; the message names the permission and the resource."""
        principal = self.principal(asked)
        permission = PERMISSIONS.get(operation)
        if permission is None:
            return
        if operation in _COPIES and to_bucket:
            self._check_one(principal, "storage.objects.get", _resource(asked, bucket, name))
            self._check_one(principal, permission, _resource(asked, to_bucket, ""))
        else:
            self._check_one(principal, permission, _resource(asked, bucket, name))

    def granted(self, asked: Asked, permissions: list[str], bucket: str) -> list[str]:
        """Return those of some permissions that the caller has on a bucket."""
        return self._access.tested(self.principal(asked), permissions, _resource(asked, bucket, ""))

    def principal(self, asked: Asked) -> str:
        """Return who asks.

        Raises:
            Refused: The token is too old.
        """
        authorization = asked.headers.get("authorization")
        try:
            return self._tokens.principal(authorization)
        except Refused:
            if authorization is not None and authorization.lower().startswith(_ISSUED_HERE):
                raise
            # Clients that cannot go without a token, such as obstore, send one that means nothing.
            return ANONYMOUS

    def _check_one(self, principal: str, permission: str, resource: str) -> None:
        if self._access.granted(principal, permission, resource):
            return
        kind = "object" if "/objects/" in resource else "bucket" if "/buckets/" in resource else "project"
        raise Refused(
            "PERMISSION_DENIED",
            f"{principal} does not have {permission} access to the Google Cloud Storage {kind} {resource}. "
            f"Permission '{permission}' denied on resource (or it may not exist).",
            reason="forbidden",
        )


def _resource(asked: Asked, bucket: str, name: str) -> str:
    if not bucket:
        return f"projects/{asked.query.get('project', '_')}"
    return f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
