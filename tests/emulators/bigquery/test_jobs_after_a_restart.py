"""With a state that is kept, jobs and their answers are there after a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from cloudmlops.emulators.google.bigquery.jobs import KEPT_RESULT_BYTES
from cloudmlops.emulators.google.bigquery.kept_jobs import KeptJobs

from .conftest import PROJECT, serving

ROWS = "SELECT n, TIMESTAMP_SECONDS(n) AS t, [n, n + 1] AS many, STRUCT('x' AS a) AS one FROM UNNEST([1, 2, 3]) AS n"


def test_an_answer_is_read_after_a_restart_page_by_page(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        client = served.client()
        job = client.query(ROWS, bigquery.QueryJobConfig(labels={"a": "b"}))
        before = [tuple(row) for row in job.result()]
        client.close()

    with serving(tmp_path) as served:
        client = served.client()
        again = client.get_job(job.job_id)
        assert (again.state, again.query, again.labels, again.created) == ("DONE", ROWS, {"a": "b"}, job.created)
        assert (again.ended, again.user_email) == (job.ended, job.user_email)
        rows = again.result(page_size=2)
        assert [tuple(row) for row in rows] == before
        assert before[1][1] == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
        assert [one.job_id for one in client.list_jobs()] == [job.job_id]
        with pytest.raises(exceptions.Conflict):
            client.query("SELECT 1", job_id=job.job_id, retry=None, job_retry=None)
        client.close()


def test_a_job_that_failed_and_one_that_changed_rows_say_so_again(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        client = served.client()
        client.create_dataset("trips")
        client.query_and_wait("CREATE TABLE trips.rides AS SELECT 1 AS n")
        changed = client.query("UPDATE trips.rides SET n = 2 WHERE true")
        changed.result()
        failed = client.query("SELECT * FROM trips.none")
        with pytest.raises(exceptions.NotFound):
            failed.result()
        client.close()

    with serving(tmp_path) as served:
        client = served.client()
        again = client.get_job(changed.job_id)
        assert (again.num_dml_affected_rows, list(again.result())) == (1, [])
        with pytest.raises(exceptions.NotFound, match=r"trips\.none"):
            client.get_job(failed.job_id).result()
        listed = [one.job_id for one in client.list_jobs()]
        assert {changed.job_id, failed.job_id} <= {*listed}
        client.delete_job_metadata(changed)
        client.close()

    with serving(tmp_path) as served:
        client = served.client()
        assert changed.job_id not in {one.job_id for one in client.list_jobs()}
        client.close()


def test_a_job_that_had_not_ended_was_stopped(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        client = served.client()
        job = client.query("SELECT 1 AS n")
        job.result()
        kept = KeptJobs(served.state)
        content = kept.all()[0].content
        # As a kill in the middle leaves it.
        kept.put(PROJECT, job.job_id, {**content, "ended": None, "outcome": None})
        kept.forget_rows(PROJECT, job.job_id)
        client.close()

    with serving(tmp_path) as served:
        client = served.client()
        again = client.get_job(job.job_id)
        assert (again.state, again.error_result["reason"]) == ("DONE", "stopped")
        assert "the service was stopped" in again.error_result["message"]
        client.close()


@pytest.mark.conformance
def test_the_oldest_answers_make_room_and_leave_no_file(tmp_path: Path) -> None:
    """Two of them are larger than all that is kept."""
    large = f"SELECT REPEAT('x', {KEPT_RESULT_BYTES * 5 // 8}) AS s"
    with serving(tmp_path) as served:
        client = served.client()
        for _ in range(2):
            job = client.query(large)
            while not job.done(reload=True):
                pass
        files = list((tmp_path / "bigquery_results").iterdir())
        client.close()

    assert len(files) == 1


def test_a_state_that_is_not_kept_has_no_files(tmp_path: Path) -> None:
    with serving() as served:
        client = served.client()
        client.query_and_wait("SELECT 1")
        assert not (served.state.folder / "bigquery_results").exists()
        assert KeptJobs(served.state).all() == []
        client.close()
    assert list(tmp_path.iterdir()) == []
