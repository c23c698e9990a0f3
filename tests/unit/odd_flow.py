"""Steps for what goes wrong on one machine, and for what only the embedded provider does."""

import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import cloudmlops as cm


@cm.step
def one(x: int = 0) -> int:
    return x + 1


@cm.pipeline
def chain(n: int = 3) -> int:
    x = one()
    for _ in range(n - 1):
        x = one(x)
    return x


@cm.step(cache=False)
def meet(folder: str, name: str) -> bool:
    """Wait until all four are here: only steps that run at the same time ever meet."""
    Path(folder, name).touch()
    deadline = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < 4:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@cm.step
def together(a: bool, b: bool, c: bool, d: bool) -> bool:
    return a and b and c and d


@cm.pipeline
def meeting(folder: str) -> bool:
    return together(meet(folder, "a"), meet(folder, "b"), meet(folder, "c"), meet(folder, "d"))


@cm.step
def big(room: str) -> cm.Dataset:
    """Write a megabyte; without a file called `room` the disk is full."""
    if not Path(room).exists():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    data = cm.Dataset.new("data.bin")
    data.path.write_bytes(bytes(1 << 20))
    return data


@cm.step
def size(data: Path) -> int:
    return data.stat().st_size


@cm.pipeline
def filling(room: str) -> int:
    return size(big(room))


@cm.step(cache=False)
def broken_table() -> cm.Dataset:
    data = cm.Dataset.new()
    data.path.write_bytes(b"PAR1 but not much more")
    return data


@cm.step
def rows(data: cm.Dataset) -> int:
    return data.to_arrow().num_rows


@cm.pipeline
def damaged() -> int:
    return rows(broken_table())


@cm.step
def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@cm.pipeline
def killing() -> int:
    return killed()


@cm.step
def leaves() -> int:
    sys.exit("enough")


@cm.pipeline
def leaving() -> int:
    return leaves()


@cm.step
def interrupts() -> int:
    raise KeyboardInterrupt("enough")


@cm.pipeline
def interrupting() -> int:
    return interrupts()


@cm.step
def odd_name() -> int:
    raise ValueError("file \udcff")


@cm.pipeline
def naming() -> int:
    return odd_name()


@cm.step
def logs_metrics() -> cm.Metrics:
    import mlflow

    mlflow.log_param("depth", 3)
    for step, value in enumerate((0.1, 0.7, 0.9)):
        mlflow.log_metric("auc", value, step=step)
    mlflow.set_tag("owner", "ada")
    return cm.Metrics(auc=0.9)


@cm.pipeline
def logging() -> cm.Metrics:
    return logs_metrics()


@cm.step
def never_written() -> cm.Model:
    return cm.Model.new()


@cm.pipeline
def forgetting() -> cm.Model:
    return never_written()


@cm.step
def loaded_modules() -> list[str]:
    return sorted(sys.modules)


@cm.pipeline
def light() -> list[str]:
    return loaded_modules()


@cm.step
def target() -> str:
    with cm.connect() as platform:
        return platform.target


@cm.pipeline
def connecting() -> str:
    return target()


@cm.step(retries=1, retry_delay=timedelta(milliseconds=1), environment={"COLOUR": "blue"})
def coloured() -> str:
    return os.environ["COLOUR"]


@cm.pipeline
def colouring() -> str:
    return coloured()


@cm.step(cache=False)
def leaves_threads(file: str) -> int:
    """Leave an idle pool, and a thread with work to finish."""
    pool = ThreadPoolExecutor(2)
    pool.submit(int).result()
    threading.Timer(0.05, Path(file).touch).start()
    return 1


@cm.pipeline
def threads_left(file: str) -> int:
    return leaves_threads(file)


@cm.step
def letters() -> cm.Dataset:
    data = cm.Dataset.new("letters.txt")
    data.path.write_text("abc")
    return data


@cm.step
def scribble(data: cm.Dataset) -> str:
    """Write into the input what is as long, as nobody but root could without giving itself the right."""
    before = data.path.stat()
    data.path.chmod(0o600)
    data.path.write_text("xyz")
    os.utime(data.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return data.path.read_text()


@cm.step
def read(data: cm.Dataset) -> str:
    return data.path.read_text()


@cm.pipeline
def scribbling() -> str:
    return scribble(letters())


@cm.pipeline
def reading() -> str:
    return read(letters())


@cm.pipeline
def lettering() -> cm.Dataset:
    return letters()
