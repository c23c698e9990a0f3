"""One act of deploying: noted, then asked for; what cannot be begun leaves nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cloudmlops.domain.endpoints import DeploymentSpec
from cloudmlops.errors import ConfigurationError, ConflictError, NotFoundError, ServiceError, WaitTimeoutError
from cloudmlops.providers import deployment_rules as rules
from cloudmlops.providers.azureml.deployments.resources import check_ours
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import endpoints as mapping
from cloudmlops.providers.azureml.mapping import models as model_mapping
from cloudmlops.providers.azureml.mapping.machines import known
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.providers.deployment_journal import Act, Journal, Record

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.deployments.resources import Resources
    from cloudmlops.providers.azureml.deployments.settling import Settling
    from cloudmlops.providers.azureml.wire import Wire


class Deploying:
    """Begins deployments."""

    def __init__(self, wire: Wire, resources: Resources, journal: Journal, settling: Settling) -> None:
        self._wire = wire
        self._settings = wire.settings
        self._resources = resources
        self._journal = journal
        self._settling = settling

    def begin(self, spec: DeploymentSpec, actor: str) -> Act:
        """Note an act and ask Azure ML for it, unless that was done before.

        Raises:
            ConflictError: Another deployment has that name.
            ServiceError: Azure ML refuses it.
        """
        environment = "" if self._settings.serving == "mlflow" else self.image_environment()
        _, shown = self._settling.settled(spec.endpoint)
        if shown is not None:
            check_ours(spec.endpoint, mapping.tags_of(shown.endpoint), operation="endpoints.deploy")
        native = self.native_model(spec.model, spec.version)
        present = [mapping.own_name(str(one.name)) for one in (shown.deployments if shown is not None else ())]

        def asked(record: Record) -> dict[str, object]:
            rules.check_name(spec, record, present, provider=PROVIDER)
            return rules.act_of(
                spec,
                actor=actor,
                native_model=native,
                deployed_id=mapping.native_name(spec.name),
                machine=self._settings.machine,
                traffic_percent=spec.traffic_percent,
                environment=environment,
                looks_up=spec.features is not None,
            )

        record, begun = self._journal.begin(spec.endpoint, spec.deployed_as, asked)
        act = record.acts[spec.deployed_as]
        if begun:
            machine = known(act.machine)
            rules.tell_cost(spec.endpoint, act, machine.hourly_usd if machine is not None else None)
            self._ask(spec.endpoint, act)
        return act

    def native_model(self, model: str, version: str, *, operation: str = "endpoints.deploy") -> str:
        """Return Azure's id of a version; of copies that say they are the same one, the earliest's.

        Raises:
            NotFoundError: It is not in the workspace's registry.
            ConflictError: It is archived there.
        """
        views, about = ml().constants.ListViewType, f"{model}@{version}"
        if found := self._registered(model, version, views.ACTIVE_ONLY, operation):
            return found
        if self._registered(model, version, views.ALL, operation):
            raise ConflictError(
                f"version {version} of model {model!r} is archived in the workspace's registry",
                hint=f"Somebody archived it there. `cloudmlops models repair {model}` restores it.",
                provider=PROVIDER,
                operation=operation,
                resource=about,
            )
        raise NotFoundError(
            f"version {version} of model {model!r} is not in the workspace's registry",
            hint="Somebody removed it there; the ledger still has it. Register it again.",
            provider=PROVIDER,
            operation=operation,
            resource=about,
        )

    def _registered(self, model: str, version: str, view: object, operation: str) -> str:
        """Return Azure's id of a version of ours among those of a view; empty when it is not there."""
        listed = self._wire.list(
            lambda: self._wire.client.models.list(name=model, list_view_type=view),
            operation=operation,
            resource=f"{model}@{version}",
        )
        try:
            found = model_mapping.of_ledger(listed).get(version)
        except NotFoundError:  # no version of the model is there
            return ""
        return model_mapping.native_name(found) if found is not None else ""

    def image_environment(self) -> str:
        """Return Azure's id of what our serving image is registered as.

        Raises:
            ConfigurationError: Nothing says which image that is.
        """
        image = self._settings.serving_image
        if not image:
            raise ConfigurationError(
                "nothing says which container image serves models",
                hint="Set serving_image to the one that docs/endpoints.md has built, such as "
                "myregistry.azurecr.io/cloudmlops/serving:latest; or serving=mlflow, and Azure ML makes one.",
            )
        return self._resources.environment(image)

    def _ask(self, endpoint: str, act: Act) -> None:
        """Ask Azure ML to deploy; what it refuses leaves nothing."""
        try:
            self._settling.ask(endpoint, act)
        except ServiceError as error:
            self._journal.fail(endpoint, act, error.message)
            with suppress(ServiceError, WaitTimeoutError):  # what keeps us from clearing up now, the next look may not
                self._settling.settled(endpoint)
            raise
