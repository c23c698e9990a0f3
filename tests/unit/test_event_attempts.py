"""Leases: who may handle an event, until when, and what follows a failure."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudmlops.services.delivery import workers
from cloudmlops.services.delivery.attempts import Attempts, Failure, Item, Lease, Settled, Waiting, pause
from cloudmlops.storage.local import LocalStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ITEM = Item(handler="watch", key="k" * 40, place=7)
SECOND = timedelta(seconds=1)


@pytest.fixture
def attempts(tmp_path: Path) -> Attempts:
    return Attempts(LocalStore(tmp_path, durable=False), lease=60 * SECOND)


def claimed(attempts: Attempts, *, now: datetime = NOON, retries: int = 3) -> Lease:
    lease = attempts.claim(ITEM, retries=retries, now=now)
    assert isinstance(lease, Lease)
    return lease


def failure(at: datetime) -> Failure:
    return Failure(error="ValueError", message="no", traceback="Traceback …", at=at)


def test_only_one_worker_gets_an_event(attempts: Attempts) -> None:
    claimed(attempts)

    assert attempts.claim(ITEM, retries=3, now=NOON) == Waiting(until=NOON + 60 * SECOND, leased=True)


def test_a_lease_that_ran_out_is_taken_over(attempts: Attempts) -> None:
    claimed(attempts)

    assert isinstance(attempts.claim(ITEM, retries=3, now=NOON + 59 * SECOND), Waiting)
    assert claimed(attempts, now=NOON + 60 * SECOND).number == 2


def test_a_renewed_lease_lasts_longer(attempts: Attempts) -> None:
    lease = claimed(attempts)

    assert attempts.renew(lease, now=NOON + 30 * SECOND) is not None

    assert isinstance(attempts.claim(ITEM, retries=3, now=NOON + 60 * SECOND), Waiting)
    assert claimed(attempts, now=NOON + 90 * SECOND).number == 2


def test_a_lease_cannot_be_renewed_after_a_takeover(attempts: Attempts) -> None:
    lease = claimed(attempts)
    claimed(attempts, now=NOON + 60 * SECOND)

    assert attempts.renew(lease, now=NOON + 61 * SECOND) is None


def test_a_released_lease_is_free_at_once(attempts: Attempts) -> None:
    attempts.release(claimed(attempts), now=NOON)

    assert claimed(attempts).number == 2


def test_what_is_done_is_settled_for_good(attempts: Attempts) -> None:
    attempts.succeed(claimed(attempts), now=NOON)

    assert attempts.claim(ITEM, retries=3, now=NOON + timedelta(days=1)) == Settled()


def test_failures_are_retried_after_pauses_that_double(attempts: Attempts) -> None:
    now = NOON
    for expected in (1, 2, 4):
        due = attempts.fail(claimed(attempts, now=now), failure(now), retries=3, backoff=SECOND)
        assert due == now + expected * SECOND
        assert attempts.claim(ITEM, retries=3, now=due - timedelta(microseconds=1)) == Waiting(until=due, leased=False)
        now = due

    assert attempts.fail(claimed(attempts, now=now), failure(now), retries=3, backoff=SECOND) is None
    assert attempts.claim(ITEM, retries=3, now=now + timedelta(days=1)) == Settled()
    ((item, letter),) = attempts.dead()
    assert item == ITEM
    assert (letter["attempts"], letter["error"]) == (4, "ValueError")


def test_no_pause_is_longer_than_an_hour_unless_it_was_asked_for() -> None:
    assert pause(SECOND, 30) == timedelta(hours=1)
    assert pause(timedelta(hours=2), 5) == timedelta(hours=2)
    assert pause(timedelta(0), 1000) == timedelta(0)


def test_a_worker_that_vanished_between_last_failure_and_dead_letter_loses_none(
    attempts: Attempts, tmp_path: Path
) -> None:
    attempts.fail(claimed(attempts, retries=0), failure(NOON), retries=0, backoff=SECOND)
    LocalStore(tmp_path, durable=False).delete(f"inbox/dead/{ITEM.name}.json")

    assert attempts.claim(ITEM, retries=0, now=NOON + SECOND) == Settled()
    ((item, letter),) = attempts.dead()
    assert (item, letter["error"]) == (ITEM, "ValueError")


def test_interruptions_cost_no_retry_until_they_are_many(attempts: Attempts) -> None:
    now = NOON
    for number in range(1, 12):
        lease = claimed(attempts, now=now, retries=0)
        assert (lease.number, lease.failures) == (number, 0)
        now = lease.expires

    assert attempts.claim(ITEM, retries=0, now=now) == Settled()
    ((_, letter),) = attempts.dead()
    assert letter["error"] == "WorkerVanished"
    assert letter["message"] == "11 workers ended while they handled this event"


def test_a_worker_that_is_stopped_again_and_again_costs_nothing(attempts: Attempts) -> None:
    for number in range(1, 30):
        lease = claimed(attempts, retries=0)
        assert lease.number == number
        attempts.release(lease, now=NOON)

    assert attempts.dead() == []


def test_a_failure_after_a_takeover_is_the_new_owners_to_tell(attempts: Attempts) -> None:
    late = claimed(attempts, retries=0)
    claimed(attempts, now=NOON + 60 * SECOND, retries=0)

    attempts.fail(late, failure(NOON + 61 * SECOND), retries=0, backoff=SECOND)

    assert attempts.dead() == []


def test_a_success_after_a_takeover_counts(attempts: Attempts) -> None:
    late = claimed(attempts)
    claimed(attempts, now=NOON + 60 * SECOND)

    attempts.succeed(late, now=NOON + 61 * SECOND)

    assert attempts.claim(ITEM, retries=3, now=NOON + 62 * SECOND) == Settled()


def test_an_exhumed_letter_is_closed(attempts: Attempts) -> None:
    attempts.fail(claimed(attempts, retries=0), failure(NOON), retries=0, backoff=SECOND)

    attempts.exhume(ITEM, round_="r", now=NOON)

    assert attempts.dead() == []
    assert attempts.claim(ITEM, retries=0, now=NOON) == Settled(), "its round is over; the next one is another item"
    assert isinstance(attempts.claim(Item(handler="watch", key=ITEM.key, round="r"), retries=0, now=NOON), Lease)


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(attempts: Attempts, tmp_path: Path) -> None:
    program = f"""
import sys
from datetime import datetime, timedelta
from cloudmlops.services.delivery.attempts import Attempts, Item
from cloudmlops.storage.local import LocalStore
attempts = Attempts(LocalStore({str(tmp_path)!r}, durable=False), lease=timedelta(seconds=60))
attempts.claim(Item(handler="watch", key="k" * 40), retries=3, now=datetime.fromisoformat({NOON.isoformat()!r}))
print("claimed", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"claimed\n"
        assert isinstance(attempts.claim(ITEM, retries=3, now=NOON), Waiting)
        child.kill()

    assert claimed(attempts).number == 2


def test_a_worker_elsewhere_is_never_thought_gone() -> None:
    machine, process, started = workers.this_worker().rsplit(":", 2)

    assert not workers.is_gone(workers.this_worker())
    assert not workers.is_gone(f"another/machine:{process}:{started}")
    assert not workers.is_gone("")
    assert workers.is_gone(f"{machine}:{process}:1"), "the same process id, started at another time, is another process"


def test_a_killed_worker_that_nobody_reaped_is_gone() -> None:
    machine = workers.this_worker().rsplit(":", 2)[0]
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
        worker = f"{machine}:{child.pid}:{started}"
        assert not workers.is_gone(worker)

        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped

        assert workers.is_gone(worker)
