"""All that is to be measured on a GPU, in at most nine minutes: one JSON, one table in Markdown.

    python benchmarks/gpu.py                       (or: make gpu)
    python benchmarks/gpu.py --only gram           one part, with all the time
    python benchmarks/gpu.py --smoke               all parts at tiny sizes, on a CPU

Each part is a process with a time of its own: a share of what is left when its turn comes. A part
that fails or is stopped costs the others nothing, and its figures until then stay. The files are
written anew whenever there is a figure more, so that a cut-off leaves what was measured.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SECONDS = 540
SMOKE_SECONDS = 290
LEAST_S = 15.0
"""A part is not begun with less: importing torch takes much of it."""
SAVE_S = 3.0
"""Kept back at the end, to stop a part and to write the files."""
POLL_S = 0.5


@dataclass(frozen=True)
class Part:
    """Something to be measured, and its share of the time."""

    name: str
    share: float


PARTS = (
    Part("pythia-410m", 4),
    Part("pythia-2.8b", 7),
    Part("gram", 7),
    Part("set-inclusion", 6),
    Part("people-70m", 6),
    Part("famous-people-gpu", 24),
)
"""In order; what one leaves of its time the later ones share, so the one of many seeds is last."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a part."""

    name: str
    state: str = "not begun"
    """`not begun`, `running`, `measured`, `stopped`, `failed` or `skipped`."""
    why: str = ""
    allowed_s: float = 0.0
    took_s: float = 0.0
    figures: list[dict[str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class Report:
    """The two files, and all that they say."""

    stem: Path
    about: dict[str, Any]
    outcomes: list[Outcome]

    def write(self) -> None:
        """Writes both files anew, each at once."""
        content = {**self.about, "parts": [asdict(outcome) for outcome in self.outcomes]}
        texts = {".json": json.dumps(content, indent=1) + "\n", ".md": self.markdown()}
        for ending, text in texts.items():
            begun = Path(f"{self.stem}{ending}.new")
            begun.write_text(text)
            begun.replace(f"{self.stem}{ending}")

    def markdown(self) -> str:
        """The table, a figure a line; a part without any has a line that says why."""
        about = self.about
        lines = [f"# {about['date']}, {about['device']}", "", f"{about['machine']}."]
        if about["smoke"]:
            lines += ["", "**Tiny sizes, to try the script: no figure here means anything.**"]
        lines += ["", "| part | state | took | of at most |", "|---|---|---|---|"]
        for outcome in self.outcomes:
            state = f"{outcome.state}: {outcome.why}" if outcome.why else outcome.state
            took = f"{outcome.took_s:.0f} s | {outcome.allowed_s:.0f} s"
            lines.append(f"| {outcome.name} | {in_cell(state)} | {took} |")
        lines += ["", "| part | what | measured | how |", "|---|---|---|---|"]
        for outcome in self.outcomes:
            for figure in outcome.figures:
                cells = (figure["what"], value_text(figure), figure["how"])
                lines.append(f"| {outcome.name} | {' | '.join(in_cell(cell) for cell in cells)} |")
            if not outcome.figures:
                lines.append(f"| {outcome.name} | everything | not measured | see above |")
        return "\n".join(lines) + "\n"


def value_text(figure: dict[str, Any]) -> str:
    """A value with its unit.

    >>> value_text({"value": 123456.7, "unit": "s"}), value_text({"value": 0.01234, "unit": "s"})
    ('123,457 s', '0.0123 s')
    """
    value = figure["value"]
    if value is None:
        return "not measured"
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {figure['unit']}".strip()


def in_cell(text: str) -> str:
    """Text that breaks no table."""
    return " ".join(text.split()).replace("|", "\\|")


def measure(report: Report, parts: Sequence[Part], command: Sequence[str], *, end: float) -> None:
    """Runs the parts one after the other, until `end` as `time.time` has it.

    Args:
        report: Written whenever there is more to say.
        parts: In this order.
        command: What runs a part, given its name and `--until` and `--into`.
        end: When all must be over.
    """
    for i, part in enumerate(parts):
        outcome = report.outcomes[i]
        left = end - time.time()
        share = part.share / sum(each.share for each in parts[i:])
        outcome.allowed_s = max(0.0, left * share)
        if outcome.allowed_s < LEAST_S:
            outcome.state, outcome.allowed_s = "skipped", 0.0
            outcome.why = "the time was spent"
        else:
            run_part(report, outcome, command)
        report.write()
        print(f"{outcome.name}: {outcome.state} {outcome.why}".rstrip(), flush=True)


def run_part(report: Report, outcome: Outcome, command: Sequence[str]) -> None:
    """Runs a part to its end, or to that of its time; takes up its figures as they come."""
    outcome.state, start = "running", time.time()
    until = start + outcome.allowed_s
    with tempfile.TemporaryDirectory(prefix="gpu-") as home:
        into = Path(home) / "figures.json"
        words = [*command, outcome.name, "--until", str(until), "--into", str(into)]
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": home, "TQDM_DISABLE": "1"}
        process = subprocess.Popen(words, env=environment, start_new_session=True)
        is_over = False
        try:
            while process.poll() is None and not is_over and time.time() < until:
                time.sleep(POLL_S)
                is_over, _ = take_up(report, outcome, into)
        finally:
            code = stop(process)
            outcome.took_s = time.time() - start
            is_over, error = take_up(report, outcome, into)
            if is_over:  # whether or not it has gone already
                outcome.state, outcome.why = "failed" if error else "measured", error
            elif code is None:
                is_late = time.time() >= until
                why = "its time was spent" if is_late else "all was interrupted"
                outcome.state, outcome.why = "stopped", why
            else:
                outcome.state, outcome.why = "failed", f"it ended with exit code {code}"


def take_up(report: Report, outcome: Outcome, into: Path) -> tuple[bool, str]:
    """Takes up what a part has told, and writes it if new.

    Returns:
        Whether the part is over, and its error, empty if there is none.
    """
    if not into.exists():
        return False, ""
    told = json.loads(into.read_text())
    if told["figures"] != outcome.figures:
        outcome.figures = told["figures"]
        report.write()
    return told["is_over"], told["error"]


def stop(process: subprocess.Popen[bytes]) -> int | None:
    """Ends a part and all that it started; returns its exit code, None if it had not ended."""
    code = process.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(SAVE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    return code


def free_stem(folder: Path, name: str) -> Path:
    """Where files of a name go: what was measured before is not written over."""
    numbers = (f"{name}{f'-{n}' if n else ''}" for n in range(1000))
    return next(folder / each for each in numbers if not (folder / f"{each}.json").exists())


def device_name() -> str | None:
    """What the GPU is called; None without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def begin(asked: argparse.Namespace, device: str, parts: Sequence[Part]) -> Report:
    """The report before anything is measured."""
    from machine import describe_machine

    date = datetime.now(UTC).date().isoformat()
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    folder = asked.out or (Path(tempfile.mkdtemp(prefix="gpu-smoke-")) if asked.smoke else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format_version": 1,
        "date": date,
        "device": device,
        "machine": describe_machine("torch", "transformers"),
        "smoke": asked.smoke,
        "model": asked.model,
        "seconds": asked.seconds,
    }
    outcomes = [Outcome(name=part.name) for part in parts]
    stem = free_stem(folder, f"{date}-{slug}{'-smoke' if asked.smoke else ''}")
    return Report(stem=stem, about=about, outcomes=outcomes)


def parse(words: list[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, on a CPU")
    parser.add_argument("--seconds", type=float, help=f"for all ({SECONDS}; smoke {SMOKE_SECONDS})")
    parser.add_argument(
        "--only", action="append", choices=[part.name for part in PARTS], help="this part (again)"
    )
    parser.add_argument("--out", type=Path, help="folder of the two files (benchmarks/results)")
    parser.add_argument(
        "--model", default="smollm2-135m", help="of famous-people-gpu: a name, folder or GGUF file"
    )
    asked = parser.parse_args(words)
    asked.seconds = asked.seconds or (SMOKE_SECONDS if asked.smoke else SECONDS)
    return asked


def main(words: list[str] | None = None) -> int:
    """Measures all parts; the exit code is 0 if each was, 1 if one was not, 2 without a GPU."""
    start = time.time()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    asked = parse(words)
    device = "CPU" if asked.smoke else device_name()
    if device is None:
        print("error: there is no GPU; use --smoke to try the script on a CPU", file=sys.stderr)
        return 2
    parts = [part for part in PARTS if part.name in (asked.only or [part.name])]
    if asked.smoke:
        parts = [Part(part.name, 1) for part in parts]
    report = begin(asked, device, parts)
    report.write()
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_parts.py"), "--model", asked.model]
    command += ["--smoke"] if asked.smoke else []
    try:
        measure(report, parts, command, end=start + asked.seconds - SAVE_S)
    finally:
        report.write()
        print(f"{report.stem}.json and .md")
    return 0 if all(outcome.state == "measured" for outcome in report.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
