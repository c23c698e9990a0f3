"""Drawing the ledger's truth on the provider's own records, so that native tools see it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

from cloudmlops.domain.ledger import Fold, VersionState
from cloudmlops.errors import CloudMLOpsError, PermissionDeniedError
from cloudmlops.ports.models import ModelsPort, Projection
from cloudmlops.services.registry.ledger import Ledger

_PAUSES_SECONDS: Final = (0.0, 0.2, 1.0)
"""Before each try."""
_log: Final = logging.getLogger("cloudmlops.models")


def projection_of(state: VersionState, fold: Fold) -> Projection:
    """Return what native tools should see of a version at the end of `fold`."""
    return Projection(
        version=state.version,
        stage=state.stage,
        revision=state.moved,
        tags=state.tags,
        head=fold.sequence,
        head_digest=fold.digest,
        native=state.registration.native if state.registration else "",
    )


def project(port: ModelsPort, ledger: Ledger, fold: Fold, versions: Iterable[str]) -> bool:
    """Draw these versions as the ledger's end has them; False, and a line in the log, when that fails.

    The end is read again afterwards: when another writer moved one of the versions meanwhile, they are drawn again, so
    that whoever draws last draws the newest.
    """
    wanted = tuple(versions)
    while True:
        drawn = [projection_of(fold.versions[version], fold) for version in wanted if fold.versions[version].live]
        if not _tried(port, fold.model, drawn):
            return False
        try:
            after = ledger.read(fold.model)
        except CloudMLOpsError as error:
            _warn(fold.model, error)
            return False
        if all(after.versions[shown.version] == fold.versions[shown.version] for shown in drawn):
            return True
        fold = after


def _tried(port: ModelsPort, model: str, drawn: list[Projection]) -> bool:
    failure: CloudMLOpsError | None = None
    for pause in _PAUSES_SECONDS:
        if pause:
            time.sleep(pause)
        try:
            port.project(model, drawn)
        except PermissionDeniedError as error:  # as an approver's, who may write entries only; that does not pass
            failure = error
            break
        except CloudMLOpsError as error:
            failure = error
        else:
            return True
    _warn(model, failure)
    return False


def _warn(model: str, failure: CloudMLOpsError | None) -> None:
    _log.warning(
        "the ledger of model %s has changed, but its records at the provider may not have: %s. "
        "`cloudmlops models repair %s` draws them again.",
        model,
        failure,
        model,
    )
