"""Measure cloudmlops beside peers and floors and say which goals are reached: `python -m benchmarks [TOPIC …]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

if not __package__:  # started as a file: the package lies one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.bench import Bench, Scale, say
from benchmarks.measuring import Missing
from benchmarks.table import HEADINGS, Report, Row, markdown, text

TOPICS = ("imports", "pipelines", "point_in_time", "online", "serving", "registry", "emulators", "vertex", "azureml")
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all of our own figures could be taken, reached or not; else 1."""
    options = _parser().parse_args(arguments)
    scale = Scale.TINY if options.tiny else Scale.QUICK if options.quick else Scale.FULL
    about = machine.described()
    begun = time.perf_counter()
    reports: dict[str, Report] = {}
    with tempfile.TemporaryDirectory(prefix="cloudmlops-bench-", dir=options.scratch) as scratch:
        for topic in options.topics or TOPICS:
            say(f"{topic} …")
            measure = import_module(f"benchmarks.topics.{topic}").measure
            reports[topic] = measure(Bench(scale=scale, scratch=Path(scratch), only_ours=options.ours or options.tiny))
    about["load average"] += f" at the start, {machine.load()} at the end"
    about["scale"] = f"{scale.value}, taken in {(time.perf_counter() - begun) / 60:.1f} minutes"
    rows = [row for report in reports.values() for row in report.rows]
    if scale is not Scale.FULL:
        about["scale"] += "; the goals are for full sizes, so that a verdict is an indication only"
    _print(about, reports, rows)
    if options.json:
        options.json.write_text(json.dumps(_as_json(about, reports), indent=1))
    if options.markdown:
        _write_markdown(options.markdown, about, reports, rows)
    return 1 if any(isinstance(row.ours, Missing) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "topics", nargs="*", choices=[*TOPICS, []], metavar="TOPIC", help=f"default: {', '.join(TOPICS)}"
    )
    scales = parser.add_mutually_exclusive_group()
    scales.add_argument("--quick", action="store_true", help="small sizes: an indication within two minutes")
    scales.add_argument("--tiny", action="store_true", help="our own engines at the least sizes: do the scripts work?")
    parser.add_argument("--ours", action="store_true", help="leave out peers and floors")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables to FILE, between its marks if any"
    )
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where to work: the disk whose speed counts")
    return parser


def _print(about: dict[str, str], reports: dict[str, Report], rows: list[Row]) -> None:
    for report in reports.values():
        for details in report.details:
            print(f"{details.title}\n{text(details.headings, details.lines)}\n")
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"\n{text(HEADINGS, [row.cells for row in rows])}\n")
    print(_summary(rows))


def _summary(rows: list[Row]) -> str:
    with_goal = [row for row in rows if row.goal]
    counts = {verdict: sum(row.verdict == verdict for row in with_goal) for verdict in ("met", "missed")}
    unknown = len(with_goal) - sum(counts.values())
    return f"{counts['met']} of {len(with_goal)} goals met, {counts['missed']} missed, {unknown} not measured."


def _as_json(about: dict[str, str], reports: dict[str, Report]) -> dict[str, object]:
    def line(row: Row) -> dict[str, object]:
        return {**asdict(row), "ratio": row.ratio, "verdict": row.verdict}

    topics = {
        topic: {"rows": [line(row) for row in report.rows], "details": [asdict(one) for one in report.details]}
        for topic, report in reports.items()
    }
    return {"machine": about, "topics": topics}


def _write_markdown(file: Path, about: dict[str, str], reports: dict[str, Report], rows: list[Row]) -> None:
    parts = [markdown(HEADINGS, [row.cells for row in rows]), _summary(rows)]
    parts += ["\n".join(f"- {name}: {value}" for name, value in about.items())]
    parts += [
        f"### {details.title}\n\n{markdown(details.headings, details.lines)}"
        for report in reports.values()
        for details in report.details
    ]
    figures = "\n\n".join(parts)
    before, begin, rest = (file.read_text() if file.exists() else "").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        figures = f"{before}{_BEGIN}\n\n{figures}\n\n{_END}{after}"
    file.write_text(figures if begin and end else f"{figures}\n")


if __name__ == "__main__":
    sys.exit(main())
