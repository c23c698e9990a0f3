from __future__ import annotations

from typing import Any

import pytest

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.log_filter import compiled

LOGGING = "https://logging.googleapis.com/v2"
ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
    "resource": {"type": "ml_job", "labels": {"job_id": "17", "task.name": "train"}},
    "severity": "WARNING",
    "timestamp": "2026-03-01T12:00:00.000000Z",
    "textPayload": 'It said "Hello" twice',
    "jsonPayload": {"count": 3, "ok": True, "steps": [{"name": "a"}, {"name": "b"}]},
    "labels": {"k8s/app": "web"},
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("-- only a comment", True),
        ('resource.type="ml_job"', True),
        ("resource.type=ML_JOB", True),
        ('resource.type!="ml_job"', False),
        ('resource.type="ml_job" resource.labels.job_id="17"', True),
        ('resource.type="ml_job"\nAND resource.labels.job_id="18"', False),
        ('resource.labels.job_id="18" OR resource.labels.job_id="17"', True),
        ('resource.labels.job_id=("18" OR "17")', True),
        ('resource.labels.job_id=("18" AND "17")', False),
        ('resource.labels."task.name"="train"', True),
        ('resource.labels.task.name="train"', True),
        ('labels."k8s/app"=web', True),
        ("severity>=WARNING", True),
        ("severity>=ERROR", False),
        ("severity<ERROR severity>INFO", True),
        ('timestamp>="2026-03-01T12:00:00Z" timestamp<"2026-03-01T13:00:00+01:00"', False),
        ('timestamp>"2026-02-28T23:59:59Z"', True),
        ("jsonPayload.count>2 jsonPayload.count<=3.0", True),
        ("jsonPayload.count>many", False),
        ("jsonPayload.ok=true", True),
        ("jsonPayload.steps.name=b", True),
        ("jsonPayload.steps.name=c", False),
        ("jsonPayload.missing:*", False),
        ("jsonPayload.count:*", True),
        ("-jsonPayload.missing=1", True),
        ("jsonPayload.missing!=1", True),
        ('textPayload:"hello"', True),
        ('textPayload="hello"', False),
        ('textPayload:"\\"Hello\\""', True),
        ('textPayload=~"^It .* twice$"', True),
        ('textPayload!~"^It"', False),
        ("twice", True),
        ("thrice", False),
        ('NOT resource.type="ml_job"', False),
        ("NOT (thrice OR never)", True),
        # OR binds closer than AND.
        ("thrice AND twice OR It", False),
        ("(thrice AND twice) OR It", True),
        ("-thrice", True),
        ('log_id("cloudaudit.googleapis.com/activity")', True),
        ('log_id("other")', False),
    ],
)
def test_a_filter_means_what_cloud_logging_says(text: str, matches: bool) -> None:
    assert compiled(text)(ENTRY) is matches


@pytest.mark.parametrize(
    "text",
    ["=", "a=", "(a=b", "a=b)", "AND", "a=(b OR c AND d)", "severity>LOUD", 'timestamp>"soon"', 'a="open'],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(Refused) as raised:
        compiled(text)(ENTRY)
    assert raised.value.code == "INVALID_ARGUMENT"


def test_a_function_that_is_not_emulated_names_itself() -> None:
    with pytest.raises(Refused, match=r"sample\(\)"):
        compiled("sample(insertId, 0.25)")


def test_written_entries_are_listed_by_time_filtered_and_paged(google: Any) -> None:
    parent = f"projects/{google.project}"
    sent = {
        "logName": f"{parent}/logs/steps",
        "resource": {"type": "ml_job", "labels": {"job_id": "1"}},
        "labels": {"run": "r"},
        "entries": [
            {"textPayload": f"line {n}", "timestamp": f"2026-01-01T00:00:{n:02}Z", "severity": "INFO"}
            for n in (3, 1, 2, 0)
        ],
    }
    assert google.ask("POST", f"{LOGGING}/entries:write", sent).json() == {}

    asked = {"resourceNames": [parent], "filter": 'labels.run="r" severity>=INFO', "pageSize": 3}
    first = google.ask("POST", f"{LOGGING}/entries:list", asked).json()
    second = google.ask("POST", f"{LOGGING}/entries:list", {**asked, "pageToken": first["nextPageToken"]}).json()
    newest = google.ask("POST", f"{LOGGING}/entries:list", {**asked, "orderBy": "timestamp desc"}).json()

    listed = [entry["textPayload"] for entry in first["entries"] + second["entries"]]
    assert listed == ["line 0", "line 1", "line 2", "line 3"]
    assert "nextPageToken" not in second
    assert newest["entries"][0]["textPayload"] == "line 3"
    assert google.ask("GET", f"{LOGGING}/{parent}/logs").json() == {"logNames": [f"{parent}/logs/steps"]}
    assert google.ask("DELETE", f"{LOGGING}/{parent}/logs/steps").status_code == 200
    assert google.ask("POST", f"{LOGGING}/entries:list", asked).json() == {}
    assert google.ask("DELETE", f"{LOGGING}/{parent}/logs/steps").status_code == 404


def test_the_same_entry_written_again_is_one(google: Any) -> None:
    parent = f"projects/{google.project}"
    entry = {"insertId": "1", "timestamp": "2026-01-01T00:00:00Z", "textPayload": "once"}
    sent = {"logName": f"{parent}/logs/l", "resource": {"type": "global"}, "entries": [entry]}

    google.ask("POST", f"{LOGGING}/entries:write", sent)
    google.ask("POST", f"{LOGGING}/entries:write", sent)

    assert len(google.cloud.logs.list([parent])) == 1


@pytest.mark.parametrize(
    "entry",
    [{"logName": "steps"}, {"severity": "LOUD"}, {"timestamp": "soon"}, {"jsonPayload": {}}, {"resource": {}}],
    ids=["no log", "no severity", "no time", "two payloads", "no resource"],
)
def test_a_malformed_entry_is_refused(google: Any, entry: dict[str, object]) -> None:
    whole = {"logName": "projects/p/logs/l", "resource": {"type": "global"}, "textPayload": "x", **entry}

    assert google.ask("POST", f"{LOGGING}/entries:write", {"entries": [whole]}).status_code == 400


def test_who_may_not_read_logs_is_told_which_permission_it_needs(google: Any) -> None:
    google.cloud.access.deny("logging.logEntries.list")

    answer = google.ask("POST", f"{LOGGING}/entries:list", {"resourceNames": [f"projects/{google.project}"]})

    assert answer.status_code == 403
    assert "logging.logEntries.list" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "sent",
    [{"pageSize": "x"}, {"pageSize": -1}, {"filter": 5}, {"resourceNames": "projects/p"}, {"resourceNames": [5]}],
    ids=str,
)
def test_what_is_of_another_type_is_an_invalid_argument(google: Any, sent: dict[str, object]) -> None:
    asked = {"resourceNames": [f"projects/{google.project}"], **sent}

    answer = google.ask("POST", "https://logging.googleapis.com/v2/entries:list", asked)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text


def test_a_project_is_named_by_its_number_as_well(google: Any) -> None:
    manager = f"https://cloudresourcemanager.googleapis.com/v1/projects/{google.project}"
    number = google.ask("GET", manager).json()["projectNumber"]
    entry = {
        "logName": f"projects/{number}/logs/steps",
        "resource": {"type": "global"},
        "textPayload": "done",
    }
    logging = "https://logging.googleapis.com/v2"
    assert google.ask("POST", f"{logging}/entries:write", {"entries": [entry]}).status_code == 200

    for project in (google.project, number):
        asked = {"resourceNames": [f"projects/{project}"]}
        (found,) = google.ask("POST", f"{logging}/entries:list", asked).json()["entries"]
        assert (found["logName"], found["textPayload"]) == (f"projects/{google.project}/logs/steps", "done")
