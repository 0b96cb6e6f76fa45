"""The coverage page: what it holds, and what a browser makes of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
from browser import look_at, needs_chromium, open_page

from velas.coverage import DAY_MS, DayCounts, count_days
from velas.coverage_page import page
from velas.models import Gap, SeriesId

HOUR = 3_600_000
FIRST = 19_783  # 2024-03-01
START = FIRST * DAY_MS
CELL = """
const row = (n) => document.querySelectorAll('svg')[n];
const place = (n, day) => {
  const box = row(n).getBoundingClientRect(), days = Number(row(n).ariaValueMax) + 1;
  return [box.left + (day + .3) * box.width / days, box.top + box.height / 2];
};
const color = (n, day) => {
  const hit = document.elementFromPoint(...place(n, day));
  return hit.tagName === 'path' ? getComputedStyle(hit).stroke : hit.tagName;
};
const named = (name) => {
  const probe = document.body.appendChild(document.createElement('p'));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};
const press = (...keys) => keys.forEach((key) =>
  document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })));
const words = () => document.getElementById('tip').innerText;
const shown = () => getComputedStyle(document.getElementById('tip')).visibility;
"""


def series(*holes: range, absent: range = range(0), end: int = 240) -> DayCounts:
    """Return an hourly series of ten days with holes, in hours from its beginning."""
    lacking = {hour for hole in (*holes, absent) for hour in hole}
    times = [START + n * HOUR for n in range(end) if n not in lacking]
    gap = Gap(START + absent.start * HOUR, START + absent.stop * HOUR, len(absent), "venue")
    return count_days(np.array(times), "1h", absent=[gap])


BTC = SeriesId("BTCUSDT", "1h")
ETH = SeriesId("ETHUSDT", "1h")
# of ten days the second lacks one candle, the third eight, the fourth fifteen, the fifth all
# of them; of the seventh the venue lacks two
HOLED = series(range(24, 25), range(48, 56), range(72, 87), range(96, 120), absent=range(145, 147))


@cache
def small() -> str:
    week = count_days(np.array([START + day * DAY_MS for day in (3, 10, 24)]), "1w")
    return page("binance_spot", [(BTC, HOLED), (ETH, series()), (SeriesId("ETHUSDT", "1w"), week)])


@cache
def large(seed: int | None) -> str:
    """Return the page of 60 series x 5 years, whole ones or such that no two days are alike."""
    days = 5 * 365
    random = np.random.default_rng(seed)
    named = []
    for n in range(60):
        expected = np.full(days, 1440)
        present = expected if seed is None else random.integers(0, 1440, days)
        absent = np.zeros(days, dtype=np.int64) if seed is None else random.integers(0, 9, days)
        counts = DayCounts(FIRST, expected, np.minimum(present, 1440 - absent), absent)
        named.append((SeriesId(f"COIN{n}USDT", "1m"), counts))
    return page("binance_spot", named)


def test_page_needs_nothing_from_elsewhere() -> None:
    text = small()
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", text) == ["data:,"]
    assert not re.search(r"@[A-Z]+@|https?://|@import|url\(", text)


def test_page_says_the_totals() -> None:
    text = small()
    assert "3 series, 2024-03-01 to 2024-03-31" in text
    row = re.search(r'<tr><th scope="row"><b>BTCUSDT</b>.*?</tr>', text.split('class="totals"')[1])
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[0])
    assert cells == ["2024-03-01", "2024-03-10", "240", "190", "48", "2", "79.8%"]


def test_page_of_a_year_is_one_block_and_of_more_a_block_a_year_the_newest_first() -> None:
    assert re.findall("<h2>(.*?)</h2>", small()) == ["2024-03", "Totals"]
    years = re.findall("<h2>(.*?)</h2>", large(None))
    assert years == ["2029", "2028", "2027", "2026", "2025", "2024", "Totals"]
    winter = count_days(np.arange(START - 100 * DAY_MS, START, DAY_MS), "1d")
    assert "<h2>2023-11 to 2024-02</h2>" in page("x", [(BTC, winter)])


def test_page_of_sixty_series_and_five_years_is_small_whatever_they_hold() -> None:
    assert len(large(None)) < 300_000
    assert len(large(1)) < 3_000_000


def test_page_names_what_cannot_be_read_and_escapes_it() -> None:
    text = page(
        "x<y", [(SeriesId("A<B", "1h"), series())], [(ETH, "<script>alert(1)</script> @DAY@")]
    )
    assert "<b>ETHUSDT 1h</b> cannot be read: &lt;script&gt;alert(1)&lt;/script&gt; @DAY@" in text
    assert "Candle coverage: x&lt;y" in text
    assert "A<B" not in text


def test_page_of_no_candle_at_all_says_so() -> None:
    nothing = count_days(np.empty(0, dtype=np.int64), "1h")
    assert "There is no candle." in page("x", [(BTC, nothing)])


@needs_chromium
def test_browser_colours_the_right_cells(tmp_path: Path) -> None:
    opened = open_page(
        small(),
        CELL
        + """found([
          [...Array(31).keys()].map((day) => color(0, day)),
          [...Array(31).keys()].map((day) => color(2, day)),
          Object.fromEntries(
            ['full', 'most', 'half', 'few', 'none', 'venue'].map((name) => [name, named(name)])),
        ]);""",
        tmp_path,
    )
    assert opened.console == []
    hourly, weekly, colors = opened.found
    assert len(set(colors.values())) == 6
    names = {color: name for name, color in colors.items()}
    assert [names.get(color, color) for color in hourly] == [
        "full", "most", "half", "few", "none", "full", "venue", "full", "full", "full",
        *["svg"] * 21,
    ]  # fmt: skip
    assert [names.get(color, color) for color in weekly] == [
        *["svg"] * 3, *["full"] * 14, *["none"] * 7, *["full"] * 7
    ]  # fmt: skip


@needs_chromium
def test_browser_says_what_a_day_holds_to_pointer_and_keys(tmp_path: Path) -> None:
    opened = open_page(
        small(),
        CELL
        + """const said = [];
        const point = (n, day) => { const [clientX, clientY] = place(n, day);
          row(n).dispatchEvent(new PointerEvent('pointermove', { clientX, clientY }));
          said.push(words()); };
        point(0, 1); point(0, 6); point(0, 4); point(0, 20); point(2, 5);
        row(0).dispatchEvent(new PointerEvent('pointerleave'));
        said.push(shown());
        row(0).focus(); press('Home', 'ArrowRight', 'ArrowRight');
        said.push(words(), row(0).ariaValueText);
        press('ArrowDown', 'End'); said.push(words(), document.activeElement === row(1), shown());
        press('Home', 'ArrowLeft', 'ArrowUp', 'ArrowUp'); said.push(words());
        press('Escape'); said.push(shown());
        said.push(document.querySelectorAll('.days [tabindex="0"]').length);
        found(said);""",
        tmp_path,
    )
    assert opened.console == []
    assert opened.found == [
        "BTCUSDT 1h\n2024-03-02: 23 of 24 candles, 1 missing",
        "BTCUSDT 1h\n2024-03-07: 22 of 24 candles, 2 missing (venue)",
        "BTCUSDT 1h\n2024-03-05: 0 of 24 candles, 24 missing",
        "BTCUSDT 1h\n2024-03-21: outside the series",
        "ETHUSDT 1w\n2024-03-06 (candle of 2024-03-04): 1 of 1 candles",
        "hidden",
        "BTCUSDT 1h\n2024-03-03: 16 of 24 candles, 8 missing",
        "2024-03-03: 16 of 24 candles, 8 missing",
        "ETHUSDT 1h\n2024-03-31: outside the series",
        True,
        "visible",
        "BTCUSDT 1h\n2024-03-01: 24 of 24 candles",
        "hidden",
        1,
    ]


@needs_chromium
def test_browser_opens_the_largest_page_soon_and_without_complaint(tmp_path: Path) -> None:
    script = """row(0).getBoundingClientRect();
      found([performance.now(), document.querySelectorAll('*').length]);"""
    opened = open_page(large(1), CELL + script, tmp_path)
    assert opened.console == []
    milliseconds, elements = opened.found
    assert milliseconds < 15_000
    assert elements < 10_000


@needs_chromium
def test_browser_shows_the_page_light_and_dark(tmp_path: Path) -> None:
    light, dark = look_at(small(), tmp_path), look_at(small(), tmp_path, "--force-dark-mode")
    assert light[2, 2].tolist() == [255, 255, 255]
    assert dark[2, 2].tolist() == [0x11, 0x15, 0x1C]
    for pixels, full, none in ((light, 0x3AA391, 0xA3182A), (dark, 0x2B8173, 0xFF5468)):
        for color in (full, none):
            wanted = [color >> 16, color >> 8 & 0xFF, color & 0xFF]
            assert (pixels == wanted).all(axis=2).sum() > 100
