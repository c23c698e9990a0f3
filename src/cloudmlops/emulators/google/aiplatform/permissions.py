"""The permission that a method needs, as its path says it: `models:upload` needs `aiplatform.models.upload`."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from cloudmlops.emulators.google.aiplatform.catalogue import Method

_LAST: Final = re.compile(r"/([a-zA-Z]+)(?:/\*)?\}?(?:/([a-zA-Z]+))?(?::(\w+))?$")
_VERBS: Final = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}
_NAMED_OTHERWISE: Final = {
    "EndpointService.DeployModel": "aiplatform.endpoints.deploy",
    "EndpointService.UndeployModel": "aiplatform.endpoints.undeploy",
    "EndpointService.MutateDeployedModel": "aiplatform.endpoints.update",
    "EndpointService.UpdateEndpointLongRunning": "aiplatform.endpoints.update",
    "FeatureRegistryService.BatchCreateFeatures": "aiplatform.features.create",
    "FeatureOnlineStoreService.FeatureViewDirectWrite": "aiplatform.featureViews.directWrite",
    "FeatureOnlineStoreService.FetchFeatureValues": "aiplatform.featureViews.fetchFeatureValues",
    "MetadataService.PurgeArtifacts": "aiplatform.artifacts.delete",
    "MetadataService.PurgeContexts": "aiplatform.contexts.delete",
    "MetadataService.PurgeExecutions": "aiplatform.executions.delete",
    "ModelService.CopyModel": "aiplatform.models.upload",
    "ModelService.DeleteModelVersion": "aiplatform.models.delete",
    "ModelService.ListModelVersions": "aiplatform.models.get",
    "ModelService.MergeVersionAliases": "aiplatform.models.update",
    "PredictionService.RawPredict": "aiplatform.endpoints.predict",
    "PredictionService.StreamRawPredict": "aiplatform.endpoints.predict",
    "ScheduleService.PauseSchedule": "aiplatform.schedules.update",
    "ScheduleService.ResumeSchedule": "aiplatform.schedules.update",
}
"""https://cloud.google.com/vertex-ai/docs/general/iam-permissions names these in another way than their paths."""


@cache
def permission(method: Method) -> str | None:
    """Return the permission; None for operations and locations, which anybody may look at."""
    if method.service in ("Operations", "Locations"):
        return None
    if (named := _NAMED_OTHERWISE.get(method.key)) is not None:
        return named
    if not method.rules or (found := _LAST.search(method.rules[0].uri)) is None:
        return None
    collection = found[2] or found[1]
    rule = method.rules[0]
    verb = found[3] or ("list" if method.name.startswith("List") else _VERBS[rule.verb])
    return f"aiplatform.{collection}.{verb}"
