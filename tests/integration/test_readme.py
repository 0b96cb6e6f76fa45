"""What the README says of the stand-in and of orders runs as printed."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import velas
from velas.testing import StandInVenue

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
RUN = [block for block in BLOCKS if "StandInVenue" in block]
RULES = [block for block in BLOCKS if "OrderValidator" in block]
CHECKED = re.compile(r"^    velas (check-order .*)\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def test_readme_has_examples() -> None:
    assert len(BLOCKS) >= 6
    assert len(RUN) == 4


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


def test_readme_order_is_checked_with_the_output_that_is_printed() -> None:
    found = CHECKED.search(README)
    assert found is not None
    with StandInVenue("spot").in_thread() as venue:
        done = subprocess.run(
            [sys.executable, "-m", "velas", *shlex.split(found[1])],
            env={
                **os.environ,
                "REST_URL": venue.rest_url,
                "WS_URL": venue.ws_url,
                "COLUMNS": "116",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.strip() == textwrap.dedent(found[2]).strip()


def test_readme_lines_about_the_rules_of_a_market_run(capsys: pytest.CaptureFixture[str]) -> None:
    async def listed() -> velas.Market:
        recording = ROOT / "cassettes/binance_spot/tour.yaml"
        settings = velas.load_settings(
            environ={}, exchange="replay", replay={"recording": recording}
        )
        async with velas.open_exchange(settings) as exchange:
            return await exchange.market("BTC/USDT")

    (code,) = RULES
    exec(code, {"velas": velas, "market": asyncio.run(listed())})
    told = capsys.readouterr().out
    assert told.count("nearest legal:") == 2
    assert "quantity=Decimal('0.00212'), price=Decimal('40000.12')" in told
