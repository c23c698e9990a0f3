"""Buckets through Google's own client."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from google.cloud import storage

from .conftest import BUCKET, Served


def test_a_bucket_is_made_shown_listed_changed_and_removed(client: storage.Client) -> None:
    made = client.create_bucket("second", location="europe-west4")
    made.labels = {"team": "risk"}
    made.versioning_enabled = True
    made.patch()

    shown = client.get_bucket("second")

    assert (shown.location, shown.location_type, shown.storage_class) == ("EUROPE-WEST4", "region", "STANDARD")
    assert (shown.labels, shown.versioning_enabled, shown.metageneration) == ({"team": "risk"}, True, 2)
    assert shown.project_number
    assert [bucket.name for bucket in client.list_buckets()] == [BUCKET, "second"]
    assert [bucket.name for bucket in client.list_buckets(prefix="se")] == ["second"]
    assert [bucket.name for bucket in client.list_buckets(page_size=1)] == [BUCKET, "second"]
    shown.delete()
    assert not client.bucket("second").exists()


def test_a_project_sees_its_own_buckets_only(client: storage.Client) -> None:
    assert list(client.list_buckets(project="another")) == []


def test_a_bucket_that_is_there_or_holds_something_or_has_no_proper_name_is_refused(client: storage.Client) -> None:
    with pytest.raises(Conflict, match="already own it"):
        client.create_bucket(BUCKET)
    client.bucket(BUCKET).blob("a").upload_from_string(b"")
    with pytest.raises(Conflict, match="not empty"):
        client.bucket(BUCKET).delete()
    with pytest.raises(BadRequest, match="Invalid bucket name: 'No_Bucket'"):
        client._post_resource("/b", {"name": "No_Bucket"}, query_params={"project": "p"})
    with pytest.raises(NotFound, match="bucket does not exist"):
        client.get_bucket("absent")


def test_a_change_may_be_bound_to_what_was_seen(client: storage.Client) -> None:
    bucket = client.get_bucket(BUCKET)
    bucket.labels = {"a": "b"}
    bucket.patch(if_metageneration_match=1)

    bucket.labels = {"a": "c"}
    with pytest.raises(PreconditionFailed):
        bucket.patch(if_metageneration_match=1)


def test_a_locked_retention_policy_only_grows(client: storage.Client) -> None:
    bucket = client.get_bucket(BUCKET)
    bucket.retention_period = 100
    bucket.patch()
    bucket.lock_retention_policy()
    assert bucket.retention_policy_locked

    bucket.retention_period = 200
    bucket.patch()
    bucket.retention_period = 100
    with pytest.raises(Forbidden, match="cannot be shortened"):
        bucket.patch()


def test_access_policies_are_recorded(client: storage.Client) -> None:
    bucket = client.bucket(BUCKET)
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings = [{"role": "roles/storage.objectViewer", "members": {"user:a@b.c"}}]
    bucket.set_iam_policy(policy)

    again = bucket.get_iam_policy(requested_policy_version=3)

    assert again.bindings == [{"role": "roles/storage.objectViewer", "members": {"user:a@b.c"}}]
    with pytest.raises(PreconditionFailed):
        bucket.set_iam_policy(policy)  # its etag is the old one


def test_permissions_are_tested_and_a_denied_one_is_named(served: Served, client: storage.Client) -> None:
    bucket = client.bucket(BUCKET)
    asked = ["storage.objects.get", "storage.objects.delete"]
    assert bucket.test_iam_permissions(asked) == asked
    bucket.blob("a").upload_from_string(b"")

    served.access().deny("storage.objects.delete", resource=f"projects/_/buckets/{BUCKET}*")

    assert bucket.test_iam_permissions(asked) == asked[:1]
    with pytest.raises(Forbidden, match=r"anonymous does not have storage\.objects\.delete access to .*/objects/a"):
        bucket.blob("a").delete()


def test_what_is_not_emulated_names_itself(client: storage.Client, http: httpx.Client) -> None:
    bucket = client.get_bucket(BUCKET)
    bucket.add_lifecycle_delete_rule(age=1)

    with pytest.raises(Exception, match=r"buckets\.lifecycle is not emulated") as refused:
        bucket.patch(timeout=5, retry=None)

    assert refused.value.code == 501  # type: ignore[attr-defined]
    answer = http.get(f"/storage/v1/b/{BUCKET}/notificationConfigs")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        501,
        f"GET /storage/v1/b/{BUCKET}/notificationConfigs of the JSON API is not emulated",
    )


def test_retention_keeps_objects_as_they_are_until_its_time_has_passed(served: Served, client: storage.Client) -> None:
    served.emulator.clock.freeze()
    bucket = client.get_bucket(BUCKET)
    bucket.retention_period = 3600
    bucket.patch()
    blob = bucket.blob("kept")
    blob.upload_from_string(b"first")
    assert blob.retention_expiration_time == blob.time_created + timedelta(hours=1)

    for write in (blob.delete, lambda: bucket.blob("kept").upload_from_string(b"second")):
        with pytest.raises(Forbidden, match="is subject to bucket's retention policy"):
            write()

    served.emulator.clock.advance(timedelta(hours=1))
    blob.delete()
    assert not blob.exists()


def test_held_objects_stay(client: storage.Client) -> None:
    blob = client.bucket(BUCKET).blob("held")
    blob.upload_from_string(b"")
    blob.temporary_hold = True
    blob.patch()

    with pytest.raises(Forbidden, match="is under active hold"):
        blob.delete()

    blob.temporary_hold = False
    blob.patch()
    blob.delete()


def test_retention_counts_from_the_release_of_an_event_based_hold(served: Served, client: storage.Client) -> None:
    served.emulator.clock.freeze()
    bucket = client.get_bucket(BUCKET)
    bucket.default_event_based_hold = True
    bucket.retention_period = 60
    bucket.patch()
    blob = bucket.blob("held")
    blob.upload_from_string(b"")
    assert blob.event_based_hold
    served.emulator.clock.advance(timedelta(hours=1))

    blob.event_based_hold = False
    blob.patch()

    with pytest.raises(Forbidden, match="retention policy"):
        blob.delete()
    served.emulator.clock.advance(timedelta(seconds=60))
    blob.delete()


WRITES = {
    "media": ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=media&name=known"),
    "resumable": ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=known"),
    "copy": ("POST", "/storage/v1/b/{bucket}/o/other/copyTo/b/{bucket}/o/known"),
    "rewrite": ("POST", "/storage/v1/b/{bucket}/o/other/rewriteTo/b/{bucket}/o/known"),
    "xml": ("PUT", "/{bucket}/known"),
}


@pytest.mark.parametrize("way", WRITES)
def test_replacing_an_object_needs_the_right_to_delete_it(
    served: Served, bucket: storage.Bucket, http: httpx.Client, way: str
) -> None:
    bucket.blob("known").upload_from_string(b"before")
    bucket.blob("other").upload_from_string(b"after")
    served.access().deny("storage.objects.delete")
    verb, path = WRITES[way]
    whole = path.format(bucket=BUCKET)

    refused = http.request(verb, whole, json={} if "/storage/v1/" in path and "upload" not in path else None)

    assert refused.status_code == 403, refused.text
    assert "storage.objects.delete" in refused.text
    assert bucket.blob("known").download_as_bytes() == b"before"
    assert http.request(verb, whole.replace("known", "new")).status_code == 200
