"""What the settings name is looked at before anything runs: there or not, and fit for what it is named for."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cloudmlops import Platform
from cloudmlops.cli.doctor import doctor
from cloudmlops.domain.surroundings import Named
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.providers.azureml.sdk import ml

from .conftest import GROUP, Opened
from .event_grid import Namespace

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")


def looked_at(opened: Opened, who: str = "owner", **settings: str) -> dict[str, Named]:
    return {one.setting: one for one in Platform(opened(who, **settings)).check_settings()}


def make_cluster(opened: Opened, *, least: int, size: str = "Standard_DS3_v2") -> None:
    wanted = ml().entities.AmlCompute(name="cpu", size=size, min_instances=least, max_instances=4)
    opened().wire.client.compute.begin_create_or_update(wanted).result()


def test_workspace_and_datastore_are_found(opened: Opened, workspace: str) -> None:
    found = looked_at(opened)

    assert {"workspace", "datastore"} <= found.keys()
    assert not {"compute", "feature_store", "topic", "event_subscription"} & found.keys()
    assert not any(one.fault for one in found.values())
    assert (found["workspace"].name, found["workspace"].found) == (workspace, "a workspace of kind Default")
    assert found["datastore"].found.startswith("container azureml-blobstore-")


def test_all_that_is_named_and_not_there_is_told(opened: Opened, namespace: Namespace) -> None:
    found = looked_at(
        opened,
        compute="cpu",
        datastore="nobodys",
        feature_store="no-store",
        topic=f"https://{namespace.host}/topics/nobodys",
        event_subscription="nobodys",
    )

    missing = {name for name, one in found.items() if one.fault}
    assert missing == {"datastore", "compute", "feature_store", "topic", "event_subscription"}
    assert all(found[name].fault == "it is not there" and found[name].fix for name in missing)


def test_a_cluster_tells_how_many_machines_it_has(opened: Opened) -> None:
    make_cluster(opened, least=0)

    assert looked_at(opened, compute="cpu")["compute"] == Named(
        setting="compute", name="cpu", found="0 to 4 STANDARD_DS3_V2, Dedicated"
    )


def test_a_cluster_that_keeps_machines_wants_an_agreement_to_what_they_cost(opened: Opened) -> None:
    make_cluster(opened, least=1)

    found = looked_at(opened, compute="cpu", compute_idle_cost="213")["compute"]

    assert "keeps 1 STANDARD_DS3_V2 at least though nothing runs: about 214 US dollars a month" in found.fault
    assert "compute_idle_cost=214" in found.fix
    assert not looked_at(opened, compute="cpu", compute_idle_cost="214")["compute"].fault


def test_kept_machines_without_a_known_price_want_an_agreement_by_name(opened: Opened) -> None:
    make_cluster(opened, least=1, size="Standard_NV36ads_A10_v5")

    found = looked_at(opened, compute="cpu", compute_idle_cost="99999")["compute"]

    assert "price that this library does not know" in found.fault
    assert "unpriced_machines=STANDARD_NV36ADS_A10_V5" in found.fix
    assert not looked_at(opened, compute="cpu", unpriced_machines="Standard_NV36ads_A10_v5")["compute"].fault


@pytest.mark.parametrize(("ends", "fault"), [(30, False), (None, True)], ids=["shuts itself down", "always on"])
def test_an_instance_that_is_always_on_wants_an_agreement(opened: Opened, ends: int | None, fault: bool) -> None:
    entities = ml().entities
    wanted = entities.ComputeInstance(name="mine", size="Standard_DS3_v2", idle_time_before_shutdown_minutes=ends)
    opened().wire.client.compute.begin_create_or_update(wanted).result()

    found = looked_at(opened, compute="mine")["compute"]

    assert bool(found.fault) is fault
    assert found.found == "a compute of type ComputeInstance"


def test_a_cluster_that_the_first_run_makes_is_not_missed(opened: Opened) -> None:
    found = looked_at(opened, compute="cpu", compute_machine="Standard_DS3_v2")["compute"]

    assert not found.fault
    assert "the first run makes it" in found.found


def test_a_feature_store_is_a_workspace_of_that_kind(opened: Opened, cloud: AzureCloud, workspace: str) -> None:
    cloud.ensure_workspace(f"plain-{workspace}", group=GROUP)
    store = ml().entities.FeatureStore(name=f"store-{workspace}", location="westeurope")
    opened().native.feature_stores.begin_create(store, grant_materialization_permissions=False).result()

    assert "of kind Default" in looked_at(opened, feature_store=f"plain-{workspace}")["feature_store"].fault
    assert not looked_at(opened, feature_store=f"store-{workspace}")["feature_store"].fault


def test_topic_and_subscription_are_found(opened: Opened, namespace: Namespace) -> None:
    found = looked_at(opened, **namespace.settings)

    assert found["topic"].found == "a topic that keeps events for 7 days"
    assert found["event_subscription"].found == "a queue that hands an event out 10 times"


def test_redis_is_asked(opened: Opened, redis: Redis) -> None:
    assert not looked_at(opened, redis_url=redis.url)["redis_url"].fault


def test_a_redis_that_nobody_is_at_is_told(opened: Opened) -> None:
    found = looked_at(opened, redis_url="redis://127.0.0.1:1", timeout="1")["redis_url"]

    assert found.fault
    assert not found.found


def test_who_may_not_look_is_told_so(opened: Opened) -> None:
    found = looked_at(opened, "worker")

    assert "workspaces/read" in found["workspace"].fault
    assert found["workspace"].fix


def test_doctor_tells_what_is_there_and_what_is_not(opened: Opened) -> None:
    target = opened(compute="cpu").settings.target

    result = CliRunner().invoke(doctor, ["--target", target])

    assert result.exit_code == 1
    assert "ok   Setting datastore: (default): container azureml-blobstore-" in result.output
    assert "FAIL Setting compute: cpu: it is not there" in result.output
