"""What users read is run: the Python blocks of each page, in order, as one program in an empty folder.

A block with a title (` ```python title="hello.py" `) is a file of that name, there before the program starts; a test
file among them is run by pytest. Other languages are not run. The program has the page's own line numbers, so that a
failure names the line of the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```(?P<language>\w+)?(?P<options>[^`]*)$")
TITLE = re.compile(r'title="(?P<title>[^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Block:
    language: str
    title: str
    line: int
    """Of its first line of code, counted from 1."""
    lines: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if opened is None:
            if (fence := FENCE.match(line)) is not None:
                title = TITLE.search(fence["options"])
                opened = (fence["language"] or "", title["title"] if title else "", number + 1)
                inside = []
        elif line.strip() == "```":
            language, name, first = opened
            found.append(Block(language=language, title=name, line=first, lines=tuple(inside)))
            opened = None
        else:
            inside.append(line)
    assert opened is None, f"the block that begins at line {opened and opened[2] - 1} has no end"
    return found


def program(page: list[Block]) -> str:
    """Return the untitled Python blocks as one program in which every line keeps its number."""
    lines: list[str] = []
    for block in page:
        if block.language == "python" and not block.title:
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.lines
    return "\n".join(lines) + "\n" if lines else ""


def failures(page: Path, folder: Path) -> str:
    """Run a page in `folder`; return what failed and where, empty when nothing did."""
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    found = blocks(page.read_text(encoding="utf-8"))
    files = [block for block in found if block.title]
    for block in files:
        target = folder / block.title
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
    commands: list[list[str]] = []
    if code := program(found):
        script = folder / "page.py"
        script.write_text(code, encoding="utf-8")
        commands.append([sys.executable, "page.py"])
    tests = [block.title for block in files if Path(block.title).name.startswith("test_")]
    if tests:
        commands.append([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CLOUDMLOPS_", "PYTEST_"))}
    environment["PYTHONPATH"] = str(folder)  # what `python page.py` finds by itself, its children find too
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
        )
        if done.returncode:
            told = (done.stdout[-2000:] + done.stderr[-4000:]).replace(f'"{folder / "page.py"}"', f'"{name}"')
            at = re.findall(rf'File "{re.escape(name)}", line (\d+)', told)
            return f"{name}:{at[-1] if at else '?'} fails\n{told}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    assert not (told := failures(page, tmp_path)), told


def test_a_failure_names_the_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n```python\nx = 1\n```\nText.\n\n```python\nassert x == 1\n\nassert x == 2\n```\n")

    assert failures(page, tmp_path).startswith("page.md:10 fails")


def test_titled_blocks_are_files_and_their_tests_are_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '```python title="two.py"\nTWO = 2\n```\n'
        '```python title="test_two.py"\nfrom two import TWO\n\n\ndef test_two() -> None:\n    assert TWO == 3\n```\n'
        "```python\nfrom two import TWO\n\nassert TWO == 2\n```\n"
        "```bash\nexit 1\n```\n"
    )

    told = failures(page, tmp_path)

    assert "assert 2 == 3" in told
    assert "1 failed" in told
