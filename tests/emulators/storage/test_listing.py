"""Lists through Google's own client."""

from __future__ import annotations

import httpx
import pytest
from google.cloud import storage

from .conftest import BUCKET, Served

NAMES = ["a.txt", "a/b/1.csv", "a/b/2.json", "a/c.csv", "a0", "b/", "b/x", "z"]


@pytest.fixture(autouse=True)
def named(served: Served) -> None:
    for name in reversed(NAMES):
        served.objects.write(BUCKET, name, b"")


def listed(bucket: storage.Bucket, **how: object) -> tuple[list[str], set[str]]:
    found = bucket.list_blobs(**how)
    return [blob.name for blob in found], found.prefixes


@pytest.mark.parametrize("page_size", [1, 2, 3, 1000])
def test_pages_together_are_the_whole_whatever_their_size(bucket: storage.Bucket, page_size: int) -> None:
    assert listed(bucket, page_size=page_size)[0] == NAMES
    assert listed(bucket, page_size=page_size, delimiter="/") == (["a.txt", "a0", "z"], {"a/", "b/"})
    assert listed(bucket, page_size=page_size, prefix="a/", delimiter="/") == (["a/c.csv"], {"a/b/"})
    assert listed(bucket, page_size=page_size, delimiter="/", include_trailing_delimiter=True) == (
        ["a.txt", "a0", "b/", "z"],
        {"a/", "b/"},
    )


def test_lists_begin_and_end_where_they_are_told(bucket: storage.Bucket) -> None:
    assert listed(bucket, start_offset="a/c", end_offset="b/x")[0] == ["a/c.csv", "a0", "b/"]
    assert listed(bucket, prefix="a/", start_offset="a/b/2")[0] == ["a/b/2.json", "a/c.csv"]
    assert listed(bucket, prefix="nothing")[0] == []
    assert listed(bucket, max_results=2)[0] == NAMES[:2]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt"]),
        ("a/*.csv", ["a/c.csv"]),
        ("**.csv", ["a/b/1.csv", "a/c.csv"]),
        ("a/**/1.csv", ["a/b/1.csv"]),
        ("a/b/?.{csv,json}", ["a/b/1.csv", "a/b/2.json"]),
        ("a/b/[1-1].*", ["a/b/1.csv"]),
        ("a/b/[!1].*", ["a/b/2.json"]),
    ],
)
def test_names_are_matched(bucket: storage.Bucket, pattern: str, expected: list[str]) -> None:
    assert listed(bucket, match_glob=pattern)[0] == expected


def test_a_list_in_pages_stays_right_while_objects_come_and_go(served: Served, bucket: storage.Bucket) -> None:
    pages = bucket.list_blobs(page_size=2).pages
    seen = [blob.name for blob in next(pages)]
    served.objects.delete(BUCKET, seen[-1])
    served.objects.write(BUCKET, "0 before", b"")
    served.objects.write(BUCKET, "y after", b"")

    for page in pages:
        seen += [blob.name for blob in page]

    assert seen == [*NAMES[:-1], "y after", "z"]


def test_folders_in_pages_are_told_once(http: httpx.Client) -> None:
    told: list[str] = []
    token = ""
    while token is not None:
        query = {"delimiter": "/", "maxResults": "1", **({"pageToken": token} if token else {})}
        page = http.get(f"/storage/v1/b/{BUCKET}/o", params=query).json()
        told += page.get("prefixes", []) + [item["name"] for item in page.get("items", [])]
        token = page.get("nextPageToken")

    assert told == ["a.txt", "a/", "a0", "b/", "z"]


def test_a_made_up_page_is_refused(http: httpx.Client) -> None:
    answer = http.get(f"/storage/v1/b/{BUCKET}/o", params={"pageToken": "%"})

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
