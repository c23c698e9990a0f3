"""What stands for `docker`, which is not here: what is in a container runs on this machine, in a clean environment.

`DOCKER_STUB` is a folder that it remembers in, `DOCKER_STUB_PORT` what the port 8080 of the container becomes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(os.environ["DOCKER_STUB"])


def main(command: str, *words: str) -> None:
    """Do one of docker's commands, with exactly the options that the Makefile gives."""
    if command == "build":
        option, file, tag, name, context = words
        assert (option, tag) == ("--file", "--tag"), words
        assert Path(context, "pyproject.toml").is_file(), "its packages are copied from there"
        [line] = [line for line in Path(file).read_text().splitlines() if line.startswith("ENTRYPOINT ")]
        (HERE / name).write_text(line.removeprefix("ENTRYPOINT "))
    elif command == "create":
        option, container, publish, ports, image, *arguments = words
        assert (option, publish, ports) == ("--name", "--publish", "8080:8080"), words
        entrypoint = json.loads((HERE / image).read_text())
        (HERE / container).mkdir()
        (HERE / container / "command.json").write_text(json.dumps([*entrypoint, *arguments]))
    elif command == "cp":
        source, target = words
        container, _, target = target.partition(":")
        closed = [path for path in (Path(source), *Path(source).rglob("*")) if not path.stat().st_mode & 0o004]
        assert closed == [], "the server is not root"
        shutil.copytree(source, HERE / container / target.lstrip("/"))
    elif command == "start":
        folder = HERE / words[0]
        program = json.loads((folder / "command.json").read_text())
        inside = {"/model": str(folder / "model"), "8080": os.environ["DOCKER_STUB_PORT"], "python": sys.executable}
        server = subprocess.Popen(
            [inside.get(word, word) for word in program],
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
            start_new_session=True,
        )
        (folder / "pid").write_text(str(server.pid))
    elif command == "rm":
        option, container = words
        assert option == "--force"
        if not (HERE / container).exists():
            sys.exit(f"Error: No such container: {container}")
        if (pid := HERE / container / "pid").exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        shutil.rmtree(HERE / container)
    else:
        sys.exit(f"docker {command} is not stood for")


if __name__ == "__main__":
    main(*sys.argv[1:])
