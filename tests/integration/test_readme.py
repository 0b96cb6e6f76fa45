"""What the README says of the stand-in runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
RUN = [block for block in BLOCKS if "StandInVenue" in block]


def test_readme_has_examples() -> None:
    assert len(BLOCKS) >= 4
    assert len(RUN) == 3


@pytest.mark.parametrize("code", BLOCKS)
def test_readme_examples_are_python(code: str) -> None:
    compile(code, "README.md", "exec")


@pytest.mark.parametrize("code", RUN)
def test_readme_examples_with_the_stand_in_run(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
