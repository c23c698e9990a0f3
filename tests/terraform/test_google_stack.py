"""The stack of Google: what it tells is what the library's settings take, and its bucket keeps the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.terraform.applying import TERRAFORM, Applied, applied
from tests.terraform.google_needs import needs
from tests.terraform.pricing import PRICES, price_faults

import cloudmlops as cm
from cloudmlops.cli.from_terraform import target_from
from cloudmlops.domain.events import DriftDetected
from cloudmlops.domain.models import Stage
from cloudmlops.emulators.google import vertex_emulator
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import PermissionDeniedError
from cloudmlops.providers.vertex.feature_store.resources import _NODES
from cloudmlops.providers.vertex.settings import VertexSettings
from cloudmlops.services.registry.ledger import CHECKPOINT_EVERY, HEAD_EVERY, checkpoint_key, entry_key
from cloudmlops.testing.contract.models import written_model

PROJECT = {"bucket": "my-bucket", "location": "europe-west4", "project": "my-project"}
EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "dev": PROJECT,
    "prod": PROJECT
    | {
        "budget": {"amount": 500, "billing_account": "012345-6789AB-CDEF01"},
        "ci": {"host": "github", "repository": "ada/churn", "ref": "refs/heads/main"},
        "emails": ["ada@example.com"],
    },
}
UNTOLD = {
    "as_of": "a choice of whoever looks back",
    "batch_timeout": "a choice of whoever predicts batches",
    "api_url": "only an emulator has one",
    "endpoints": "a choice of whoever deploys",
    "machine": "a choice of whoever deploys",
    "network": "the stack makes no network",
    "push_account": "Cloud Run asks who pushes before the library does",
    "push_audience": "Cloud Run asks who pushes before the library does",
    "reporter": "a choice, right as it is with and without a log",
    "timeout": "a choice of whoever calls",
    "transport": "a choice of whoever calls",
    "unlisted_location": "a choice of whoever knows the location",
}
"""Settings that are no output, and why."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Applied]:
    return {
        name: applied(f"stacks/google/examples/{name}", tmp_path_factory.mktemp(name), variables)
        for name, variables in EXAMPLES.items()
    }


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest, examples: Mapping[str, Applied]) -> tuple[str, Applied]:
    return request.param, examples[request.param]


def test_what_an_example_tells_is_a_target_of_the_library(example: tuple[str, Applied]) -> None:
    name, made = example

    settings = target_from(json.dumps(made.outputs))

    assert isinstance(settings, VertexSettings)
    assert (settings.bucket, settings.prefix, settings.dataset) == ("my-bucket", name, name)
    assert settings.service_account == f"{name}-train@my-project.iam.gserviceaccount.com"
    assert settings.serving_image == f"europe-west4-docker.pkg.dev/my-project/{name}/serving:latest"


def test_every_setting_is_told_or_left_to_the_user_for_a_reason(example: tuple[str, Applied]) -> None:
    _, made = example

    assert made.outputs.keys() - {"about", "provider"} == VertexSettings.model_fields.keys() - UNTOLD.keys()
    assert UNTOLD.keys() <= VertexSettings.model_fields.keys()


def test_what_costs_at_rest_is_in_production_alone(example: tuple[str, Applied]) -> None:
    name, made = example
    stores = made.resources("google_vertex_ai_feature_online_store")

    assert len(stores) == (1 if name == "prod" else 0)
    (node,) = [one for one in PRICES if one["made"] == "google_vertex_ai_feature_online_store"]
    assert made.outputs["about"]["value"]["idle_cost_per_month"] == pytest.approx(node["usd"] * 730 * len(stores))
    assert made.resources("google_vertex_ai_endpoint") == {}
    assert made.resources("google_cloud_run_v2_service") == {}


def test_readmes_say_that_the_library_makes_the_store_that_the_stack_does_not() -> None:
    """Both jobs that apply features may, as the library needs it; when they no longer do, the warning is to go."""
    for job in ("deploy", "train"):
        assert "aiplatform.featureOnlineStores.create" in needs(job)["project"]
    for file in ("README.md", "stacks/google/README.md", "stacks/google/examples/dev/main.tf"):
        said = " ".join((TERRAFORM / file).read_text().replace("\n#", "\n").split())
        assert "features.apply()" in said, file
        assert re.search("(one to three|1 to 3) nodes", said), file
    assert _NODES == (1, 3)


def test_everything_that_an_example_makes_has_a_price_or_is_known_to_be_free(examples: Mapping[str, Applied]) -> None:
    assert price_faults("google", examples) == []


@pytest.fixture(scope="module")
def holds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bool]:
    """The condition under which the stack lets jobs remove and overwrite, of an object's name."""
    made = applied("stacks/google", tmp_path_factory.mktemp("stack"), PROJECT)
    (condition,) = {
        one["condition"][0]["expression"]
        for one in made.resources("google_storage_bucket_iam_member").values()
        if one["role"].endswith("_object_remover")
    }
    return _reads(condition)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch, holds: Callable[[str], bool]) -> Iterator[cm.Platform]:
    """A platform in a bucket in which objects are removed and overwritten under that condition alone."""
    asked_before = Access.granted

    def granted(access: Access, principal: str, permission: str, resource: str) -> bool:
        if permission == "storage.objects.delete" and not holds(resource):
            return False
        return asked_before(access, principal, permission, resource)

    monkeypatch.setattr(Access, "granted", granted)
    with vertex_emulator() as emulator:
        emulator.cloud(GoogleCloud).ensure_bucket("my-bucket", location="europe-west4")
        with cm.connect(f"vertex://my-project/europe-west4?bucket=my-bucket&api_url={emulator.url}") as platform:
            yield platform


def test_the_library_works_where_entries_can_not_be_overwritten(guarded: cm.Platform, tmp_path: Path) -> None:
    artifact = written_model(tmp_path / "model")
    version = guarded.models.register("churn", artifact)
    for number in range(CHECKPOINT_EVERY):  # hints are overwritten, and a checkpoint is written, meanwhile
        guarded.models.tag("churn", version.version, {"colour": f"colour-{number}"})
    guarded.models.promote("churn", version.version, to=Stage.CANDIDATE, reason="first")
    event = DriftDetected(
        platform=guarded.address, time=version.registered_at, subject="s", metric="psi", value=0.3, threshold=0.2
    )
    guarded.events.on(DriftDetected, handler="sees")(lambda _, __: None)
    guarded.events.publish(event)
    guarded.events.process()
    second = guarded.models.register("churn", artifact)
    guarded.models.delete("churn", second.version, reason="one too many")

    objects = guarded._context.backends.objects
    assert [bool(objects.get(key)) for key in ("ledger/models/churn/head.json", checkpoint_key("churn", 100))]
    assert guarded.models.verify("churn").problems == ()
    assert HEAD_EVERY * 2 < CHECKPOINT_EVERY


def test_a_damaged_last_entry_can_still_be_repaired(guarded: cm.Platform, tmp_path: Path) -> None:
    version = guarded.models.register("churn", written_model(tmp_path / "model"))
    objects = guarded._context.backends.objects
    last = next(number for number in range(9, 0, -1) if list(objects.list(entry_key("churn", number))))
    assert objects.create(entry_key("churn", last + 1), b"{")

    guarded.models.repair("churn")

    assert guarded.models.get("churn", version.version).version == version.version
    assert guarded.models.verify("churn").problems == ()


@pytest.mark.parametrize("key", [entry_key("churn", 1), "ledger/names/churn"])
def test_what_the_ledger_says_can_neither_be_overwritten_nor_removed(
    guarded: cm.Platform, tmp_path: Path, key: str
) -> None:
    guarded.models.register("churn", written_model(tmp_path / "model"))
    objects = guarded._context.backends.objects
    before = objects.get(key)

    with pytest.raises(PermissionDeniedError):
        objects.put(key, b"other")
    with pytest.raises(PermissionDeniedError):
        objects.delete(key)

    assert objects.get(key) == before


@pytest.mark.parametrize(
    "name",
    [
        "ledger/models/head.json/000000000001.json",
        "ledger/models/checkpoints/000000000001.json",
        "ledger/models/quarantine/000000000001.json",
        "ledger/names/checkpoints",
    ],
)
def test_a_models_name_opens_no_way_to_its_entries(holds: Callable[[str], bool], name: str) -> None:
    bucket = "projects/_/buckets/my-bucket"
    root = f"{bucket}/objects/cloudmlops/"

    assert not holds(f"{root}{name}")
    assert holds(f"{root}models/{name}")
    assert holds(bucket)  # which platform.check_access() asks about


def _reads(condition: str) -> Callable[[str], bool]:
    """Return what a condition says of a resource's name; of IAM's language, what the module uses.

    Raises:
        AssertionError: The module uses something else.
    """
    terms = []
    for term in condition.split(" || "):
        found = re.fullmatch(r'(!?)resource\.name\.(startsWith|endsWith|extract)\("([^"]*)"\)( != "")?', term)
        assert found is not None, term
        terms.append((bool(found[1]), found[2], found[3]))

    def holds(name: str) -> bool:
        return any(_says(kind, text, name) != negated for negated, kind, text in terms)

    return holds


def _says(kind: str, text: str, name: str) -> bool:
    if kind == "extract":  # what stands between the two first places that fit the text before and after the braces
        before, _, after = re.split(r"(\{\w+\})", text)
        return re.search(f"{re.escape(before)}(.+?){re.escape(after)}", name) is not None
    return name.startswith(text) if kind == "startsWith" else name.endswith(text)
