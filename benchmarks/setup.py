"""Install the peers, each in its own virtual environment: `python -m benchmarks.setup [PEER …]`.

What is installed already stays. A peer that cannot be installed is reported and left out of the measurements. Serving
is loaded with `wrk` if it is on the path (Debian and Ubuntu: `apt-get install wrk`), else with a client of our own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: the package lies one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import peers
from benchmarks.peers import Peer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.setup", description=__doc__.partition("\n")[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"default: all of {', '.join(peers.listed())}")
    wanted = parser.parse_args(arguments).peers
    if unknown := set(wanted) - set(peers.listed()):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    failed = [name for name, peer in peers.listed().items() if name in (wanted or peers.listed()) and not _ready(peer)]
    if failed:
        print(f"Left out, because they could not be installed: {', '.join(failed)}.")
    if not shutil.which("wrk"):
        print("wrk is not on the path: serving will be loaded with a slower client of our own (apt-get install wrk).")
    return 1 if failed else 0


def _ready(peer: Peer) -> bool:
    if peer.missing is None:
        print(f"{peer.name}: installed already", flush=True)
        return True
    print(f"{peer.name}: installing {' '.join(peer.requirements)} …", end=" ", flush=True)
    begun = time.perf_counter()
    peer.complaint.unlink(missing_ok=True)
    try:
        _install(peer)
    except subprocess.CalledProcessError as error:
        reason = _reason(error.stderr)
        peer.complaint.write_text(reason)
        shutil.rmtree(peer.folder, ignore_errors=True)
        print(f"failed: {reason}", flush=True)
        return False
    peer.stamp.write_text("\n".join(peer.requirements))
    print(f"{time.perf_counter() - begun:.0f} s", flush=True)
    return True


def _install(peer: Peer) -> None:
    peer.folder.parent.mkdir(parents=True, exist_ok=True)
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(peer.folder)])
        _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", peer.python, *peer.requirements])
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(peer.folder)])
        _run([peer.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _reason(stderr: str) -> str:
    """The installer's own last error line, without a path or address in it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["the installer said nothing"]
    return " ".join(word for word in errors[-1].split() if "/" not in word)[:160]


if __name__ == "__main__":
    sys.exit(main())
