"""What the modules of Google grant is what the library needs: nothing is missing, and nothing is over."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.terraform.applying import Applied, applied
from tests.terraform.google_needs import PREDEFINED, SETTINGS, needs
from tests.terraform.jobs import JOBS, OF_PEOPLE

from cloudmlops.providers.vertex.mapping.access import permissions_of

VARIABLES = {
    "bucket": "my-bucket",
    "ci": {"host": "github", "repository": "ada/churn", "ref": "refs/heads/main"},
    "location": "europe-west4",
    "name": "acme",
    "project": "my-project",
    "receiver_image": "europe-west4-docker.pkg.dev/my-project/acme/events:1",
    "source_datasets": ["sales"],
}
PLACES = {
    "google_bigquery_dataset_iam_member": ("dataset_id", {"sales": "sources"}),
    "google_cloud_run_v2_service_iam_member": ("name", {"acme-events": "receiver"}),
    "google_project_iam_member": ("project", {"my-project": "project"}),
    "google_pubsub_subscription_iam_member": ("subscription", {"acme-worker": "subscription"}),
    "google_pubsub_topic_iam_member": ("topic", {"acme-events": "topic", "acme-dead-letter": "dead letters"}),
    "google_service_account_iam_member": (
        "service_account_id",
        {
            f"projects/my-project/serviceAccounts/acme-{job}@my-project.iam.gserviceaccount.com": f"account of {job}"
            for job in JOBS
        },
    ),
    "google_storage_bucket_iam_member": ("bucket", {"my-bucket": "bucket"}),
}
"""Each type that gives a role: which attribute says on what, and what we call that."""
OF_EVENTARC = {"receiver": PREDEFINED["roles/run.invoker"], "project": PREDEFINED["roles/eventarc.eventReceiver"]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Applied:
    return applied("stacks/google", tmp_path_factory.mktemp("stack"), VARIABLES)


@pytest.mark.parametrize("job", sorted(JOBS))
def test_an_account_is_granted_what_the_verbs_of_its_job_need_and_nothing_else(stack: Applied, job: str) -> None:
    missing, over = _compared(stack, job)

    assert (missing, over) == ([], [])


@pytest.mark.parametrize("job", sorted(JOBS))
def test_a_permission_that_is_taken_out_of_a_role_is_missed(stack: Applied, job: str) -> None:
    changed = copy.deepcopy(stack)
    gone = _role(changed, f"acme_{job}")["permissions"].pop()

    assert _compared(changed, job) == ([f"project: {gone}"], [])


@pytest.mark.parametrize("job", sorted(JOBS))
def test_a_permission_that_nothing_needs_is_found(stack: Applied, job: str) -> None:
    changed = copy.deepcopy(stack)
    _role(changed, f"acme_{job}")["permissions"].append("aiplatform.models.delete")

    assert _compared(changed, job) == ([], ["project: aiplatform.models.delete"])


def test_tables_are_reached_in_one_dataset_alone(stack: Applied) -> None:
    for one in stack.resources("google_project_iam_member").values():
        role = one["role"].rpartition("/")[2]
        reached = [name for name in _permissions(stack, one["role"]) if name.startswith("bigquery.tables.")]
        assert bool(reached) == role.endswith("_tables") == bool(one["condition"]), role
        for condition in one["condition"]:
            assert condition["expression"].endswith('resource.name.startsWith("projects/my-project/datasets/acme/")')


def test_a_role_on_another_thing_is_found(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    _grant(changed, "google_pubsub_subscription_iam_member", "acme-events@")["member"] = _member("serve")

    assert _compared(changed, "events")[0] == ["subscription: pubsub.subscriptions.consume"]
    assert _compared(changed, "serve")[1] == ["subscription: pubsub.subscriptions.consume"]


def test_a_role_of_googles_that_is_not_known_here_is_found(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    _grant(changed, "google_project_iam_member", "acme-serve@")["role"] = "roles/aiplatform.user"

    with pytest.raises(KeyError, match="aiplatform"):
        _compared(changed, "serve")


def test_only_jobs_and_services_that_bring_events_have_roles(stack: Applied) -> None:
    jobs = {_member(job) for job in JOBS}
    others = {(one["member"], place, role) for one, place, role in _grants(stack) if one["member"] not in jobs}

    pubsub = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    pool = "made-up-google_iam_workload_identity_pool.name"
    sink = "made-up-google_logging_project_sink[acme-events].writer_identity"
    ours = "projects/my-project/roles/acme_event_"
    assert others == {
        (pubsub, "dead letters", f"{ours}publisher"),
        (pubsub, "subscription", f"{ours}consumer"),
        (sink, "topic", f"{ours}publisher"),
        (
            f"principalSet://iam.googleapis.com/{pool}/attribute.repository/ada/churn",
            "account of deploy",
            "roles/iam.workloadIdentityUser",
        ),
    }


def test_sources_elsewhere_are_read_and_not_written(stack: Applied) -> None:
    reading = {"bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.list"}

    assert {job: _granted(stack, job).get("sources") for job in JOBS} == {
        "deploy": reading,
        "events": None,
        "serve": None,
        "train": reading,
    }


def test_nobody_has_a_basic_role_and_no_role_of_ours_has_a_star(stack: Applied) -> None:
    assert not {role for _, _, role in _grants(stack)} & {"roles/owner", "roles/editor", "roles/viewer"}
    for one in stack.resources("google_project_iam_custom_role").values():
        assert not any("*" in permission for permission in one["permissions"])
        assert one["permissions"] == sorted(one["permissions"])


def test_every_type_that_gives_a_role_is_looked_at(stack: Applied) -> None:
    found = {one["type"] for one in stack.every() if "_iam_" in one["type"]}

    assert found - {"google_iam_workload_identity_pool", "google_iam_workload_identity_pool_provider"} == {
        *PLACES,
        "google_project_iam_custom_role",
    }


def test_every_verb_is_of_a_job_or_of_people() -> None:
    assert OF_PEOPLE.union(*JOBS.values()) - {"endpoints.mirror_traffic"} == permissions_of(SETTINGS).keys()


def _compared(stack: Applied, job: str) -> tuple[list[str], list[str]]:
    """Return what is missing, and what is over, beside what Eventarc needs and what sources are read with."""
    wanted = {place: set(names) for place, names in needs(job).items()}
    granted = _granted(stack, job)
    granted.pop("sources", None)
    if job == "events":
        for place, names in OF_EVENTARC.items():
            wanted.setdefault(place, set()).update(names)
    return _over(wanted, granted), _over(granted, wanted)


def _over(more: Mapping[str, set[str]], fewer: Mapping[str, set[str]]) -> list[str]:
    return [f"{place}: {name}" for place in more for name in sorted(more[place] - fewer.get(place, set()))]


def _granted(stack: Applied, job: str) -> dict[str, set[str]]:
    granted: dict[str, set[str]] = defaultdict(set)
    for one, place, role in _grants(stack):
        if one["member"] == _member(job):
            granted[place] |= _permissions(stack, role)
    return granted


def _permissions(stack: Applied, role: str) -> frozenset[str]:
    ours = {
        f"projects/my-project/roles/{one['role_id']}": frozenset(one["permissions"])
        for one in stack.resources("google_project_iam_custom_role").values()
    }
    return {**ours, **PREDEFINED}[role]


def _grants(stack: Applied) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield each role that is given, on what, and its name."""
    for kind, (attribute, known) in PLACES.items():
        for one in stack.resources(kind).values():
            yield one, known[one[attribute]], one["role"]


def _grant(stack: Applied, kind: str, who: str) -> dict[str, Any]:
    return next(one for one in stack.resources(kind).values() if who in one["member"])


def _role(stack: Applied, name: str) -> dict[str, Any]:
    return next(one for one in stack.resources("google_project_iam_custom_role").values() if one["role_id"] == name)


def _member(job: str) -> str:
    return f"serviceAccount:acme-{job}@my-project.iam.gserviceaccount.com"
