"""A model's files on their way into the object store and back, by a manifest of digests."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.errors import ConflictError, InvalidRequestError, NotFoundError, UnexpectedReplyError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.registry.signatures import read_signature
from cloudmlops.storage.keys import key_faults
from cloudmlops.storage.local import translated

MANIFEST: Final = "cloudmlops_manifest.json"
DESCRIPTION: Final = "MLmodel"
"""MLflow's description of a model; it makes a folder servable anywhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """The files of one version, by relative path."""

    content: Mapping[str, Path | bytes]
    manifest: bytes
    signature: Mapping[str, object]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, in hexadecimal: it stands for all files."""
        return hashlib.sha256(self.manifest).hexdigest()


def folder(model: str, version: str) -> str:
    """Return below what a version's files lie in the object store."""
    return f"models/{model}/{version}"


def place(model: str, version: str, digest: str) -> str:
    """Return where the files of a manifest lie: two attempts at one version with different files do not mix them."""
    return f"{folder(model, version)}/{digest[:16]}"


def artifact_faults(artifact: Path) -> list[str]:
    """List what keeps a folder from being registered, in words."""
    if not artifact.exists():
        return [f"the artifact {artifact} does not exist"]
    if not artifact.is_dir():
        return [f"the artifact {artifact} is a file; a model is a folder in MLflow's format"]
    if not (artifact / DESCRIPTION).is_file():
        return [f"the folder {artifact} holds no {DESCRIPTION} file"]
    root = artifact.resolve()
    faults = []
    for path in artifact.rglob("*"):
        if not path.is_file() and not path.is_dir():
            faults.append(f"{path} is neither a file nor a folder")
        elif not path.resolve().is_relative_to(root):
            faults.append(f"{path} is a link that leads out of the folder")
        elif path.is_symlink() and path.is_dir():
            faults.append(f"{path} is a link to a folder; put the folder itself there")
        elif path.is_file():
            name = path.relative_to(artifact).as_posix()
            faults += [f"the file name {name!r} cannot be kept: {fault}" for fault in key_faults(name)]
    return faults


def model_files(artifact: Path, additions: Mapping[str, Path | bytes]) -> ModelFiles:
    """Read a model folder's file names, digests and signature; `additions` go beside or over its files."""
    content: dict[str, Path | bytes] = {
        path.relative_to(artifact).as_posix(): path for path in sorted(artifact.rglob("*")) if path.is_file()
    }
    content.pop(MANIFEST, None)
    content |= additions
    files = {name: _described(source) for name, source in sorted(content.items())}
    manifest = json.dumps({"format": 1, "files": files}, separators=(",", ":")).encode()
    described = content[DESCRIPTION]
    data = described if isinstance(described, bytes) else described.read_bytes()
    signature = read_signature(data, artifact / DESCRIPTION)
    return ModelFiles(content=content, manifest=manifest, signature=signature)


def upload(objects: ObjectStore, prefix: str, files: ModelFiles) -> None:
    """Write a version's files, the manifest last.

    Raises:
        ConflictError: A file was changed since its digest was taken.
    """
    for name, source in files.content.items():
        if isinstance(source, bytes):
            objects.put(f"{prefix}/{name}", source)
        else:
            objects.upload(f"{prefix}/{name}", source)
    known = json.loads(files.manifest)["files"]
    changed = [name for name, source in sorted(files.content.items()) if _described(source) != known[name]]
    if changed:
        raise ConflictError(
            f"files were changed while they were uploaded to {prefix}: {', '.join(changed)}",
            hint="Register again when nobody writes into the folder.",
            resource=prefix,
        )
    objects.put(f"{prefix}/{MANIFEST}", files.manifest)


def download(objects: ObjectStore, prefix: str, digest: str, to: Path) -> Path:
    """Write a version's files into the folder `to`, all or none.

    Args:
        objects: Where they lie.
        prefix: Below which key.
        digest: Of the manifest, as the ledger knows it.
        to: A folder that is empty or not there; an empty one is filled where it is.

    Raises:
        InvalidRequestError: `to` holds something.
        ServiceError: `to` cannot be written.
        NotFoundError: The files are gone.
        UnexpectedReplyError: A file is not the one that was registered, or its name leads out of the folder.
    """
    with translated("write", str(to)):
        target = to.resolve()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InvalidRequestError(f"{to} is not an empty folder", hint="Name a folder that is empty or not there.")
        files = _manifest(objects, prefix, digest)
        with _scratch(target) as scratch:
            for name, described in files.items():
                file = scratch / name
                file.parent.mkdir(parents=True, exist_ok=True)
                objects.download(f"{prefix}/{name}", file)
                if _described(file) != described:
                    raise _damaged(prefix, name, "is not the file that was registered")
    return to


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Give a folder whose content becomes that of `target` at the end, unless an error is raised."""
    token = secrets.token_hex(6)
    there = target.is_dir()
    # Within a folder that is there, for it may be a mounted volume or a working folder, which nothing can replace.
    scratch = target / f".{token}" if there else target.with_name(f".{target.name[:200]}.{token}")
    scratch.mkdir(parents=True)
    try:
        yield scratch
        if there:
            for part in list(scratch.iterdir()):
                part.rename(target / part.name)
        else:
            scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove(objects: ObjectStore, prefix: str) -> None:
    """Remove a version's files."""
    for key in list(objects.list(f"{prefix}/")):
        objects.delete(key)


def missing(objects: ObjectStore, prefix: str, digest: str) -> list[str]:
    """List the files of a version that are not in the store any more."""
    try:
        wanted = _manifest(objects, prefix, digest)
    except NotFoundError:
        return [MANIFEST]
    there = set(objects.list(f"{prefix}/"))
    return [name for name in wanted if f"{prefix}/{name}" not in there]


def _manifest(objects: ObjectStore, prefix: str, digest: str) -> Mapping[str, Any]:
    try:
        data = objects.get(f"{prefix}/{MANIFEST}")
    except NotFoundError as error:
        raise NotFoundError(
            f"the files of {prefix} are gone from {objects.uri}", hint="Restore them from a backup.", resource=prefix
        ) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(prefix, MANIFEST, "is not the list of files that was registered")
    files: Mapping[str, Any] = json.loads(data)["files"]
    for name in files:
        if key_faults(name):
            raise _damaged(prefix, name, "would leave the folder that it is to be written to")
    return files


def _damaged(prefix: str, name: str, what: str) -> UnexpectedReplyError:
    return UnexpectedReplyError(
        f"{name!r} of {prefix} {what}; nothing was written",
        hint="Somebody changed it in the object store. Restore it from a backup.",
        resource=f"{prefix}/{name}",
    )


def _described(source: Path | bytes) -> dict[str, object]:
    if isinstance(source, bytes):
        return {"sha256": hashlib.sha256(source).hexdigest(), "bytes": len(source)}
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": digest, "bytes": file.tell()}
