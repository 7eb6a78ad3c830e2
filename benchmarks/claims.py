"""One table of every claim that a benchmark wrote as JSON: `python benchmarks/claims.py`.

A benchmark with `--json PATH` writes what it claims beside what it measured; this command reads
all of `benchmarks/results/*.json` that hold claims and writes `benchmarks/README.md`, of each claim
the last file by name. Claims of older benchmarks stand in the Markdown files of the same folder.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import describe_machine

HERE = Path(__file__).parent
RESULTS = HERE / "results"
KEY = "claims"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A comparison of two sides that were measured in one run."""

    claim: str
    ours: float
    """Of this program, in the unit that the claim names."""
    theirs: float
    """Of what it is compared with."""
    asked: str
    """What was to be reached, in words."""
    reached: str
    """What was, in words."""


def write_claims(path: Path, claims: Sequence[Claim], *packages: str) -> None:
    """Writes claims with the command, the machine, the date and the commit of this moment."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    content = {
        "command": " ".join(["python", *sys.argv]),
        "machine": describe_machine(*packages),
        "commit": commit.stdout.strip(),
        KEY: [asdict(claim) for claim in claims],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def table(folder: Path) -> str:
    """The page: a row for each claim, the newest file of each."""
    rows: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        for each in content.get(KEY, []) if isinstance(content, dict) else []:
            claim = Claim(**each)
            cells = [claim.claim, f"{claim.ours:.4g}", f"{claim.theirs:.4g}", claim.reached]
            cells += [claim.asked, f"`{content['command']}`", content["machine"], content["commit"]]
            rows[claim.claim] = f"| {' | '.join(cells)} |"
    head = "| claim | ours | theirs | reached | asked | command | date and machine | commit |"
    title = "# What is claimed of speed and cost\n\nMade by `python benchmarks/claims.py`.\n"
    return "\n".join([title, head, "|---" * 8 + "|", *rows.values(), ""])


if __name__ == "__main__":
    (HERE / "README.md").write_text(table(RESULTS))
