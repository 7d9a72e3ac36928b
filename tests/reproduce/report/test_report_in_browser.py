"""The report in a real browser, as on a desktop and on a phone."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reproduce.__main__ import main
from reproduce.cli import commands, running
from reproduce.published.numbers import tables
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
# The page in a frame of each width; what the frames look like is written down as text.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><title>frames</title><body>{frames}<pre id="found"></pre><script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    const boxes = [...page.querySelectorAll(".scroll")];
    return {{
      width: frame.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      tables: [...page.querySelectorAll("h3[id^=table-]")].filter(h => h.offsetHeight > 0).map(h => h.id),
      grids: boxes.filter(box => box.querySelector("tbody tr").offsetHeight > 0).length,
      boxes: boxes.length,
      scrolling: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
      pictures: [...page.images].map(image => image.naturalWidth),
      wide: [...page.images].filter(image => image.clientWidth > root.clientWidth).length,
      filtered: (() => {{
        const bar = page.getElementById("claims-orderings").nextElementSibling, input = bar.querySelector("input");
        const table = bar.nextElementSibling.querySelector("table"), lines = [...table.tBodies[0].rows];
        const type = words => {{ input.value = words; input.dispatchEvent(new Event("input")); }};
        type("ablation-cam agrees opticam_table1");
        const shown = lines.filter(line => line.offsetHeight > 0).map(line => line.textContent.toLowerCase());
        const count = bar.querySelector("[role=status]").textContent;
        type("");
        table.tHead.querySelector("button").click();
        const first = [...table.tBodies[0].rows].map(line => line.cells[0].textContent);
        return {{ shown, count, first: first.slice(0, 50), all: lines.length }};
      }})(),
      explained: [...page.querySelectorAll(".explorer figure")].filter(f => f.offsetHeight > 0).length,
      smallest: Math.min(...[...page.querySelectorAll("p, li, td, th, .detail")]
        .map(e => parseFloat(frame.contentWindow.getComputedStyle(e).fontSize))),
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium here (.ci/run installs it where it can)")


def browse(page: Path, folder: Path) -> tuple[str, list[str]]:
    """The page's document after it has loaded, and what was written to the console."""
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(folder)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"^.*CONSOLE.*$", done.stderr, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def seen(make_module_workspace, tmp_path_factory):
    """What frames of both widths show, and the console."""
    folder = tmp_path_factory.mktemp("browser")
    patch = pytest.MonkeyPatch()
    for module in (commands, running):
        patch.setattr(module, "workspace", lambda options: make_module_workspace(folder / "results", count=3))
    place = ["--output", str(folder), "--quiet"]
    names = ("opticam-main", "opticam-localization", "opticam-selectivity")
    only = [word for name in names for word in ("--only", name)]
    try:
        assert main(["run", *only, *place]) == 0
        assert main(["report", *place]) == 0
    finally:
        patch.undo()
    text = html.escape((folder / "report.html").read_text(encoding="utf-8"))
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:800px" srcdoc="{text}"></iframe>' for width in WIDTHS
    )
    (folder / "frames.html").write_text(FRAME.format(frames=frames), encoding="utf-8")
    document, console = browse(folder / "frames.html", folder)
    found = re.search(r'<pre id="found">(.*?)</pre>', document, flags=re.DOTALL)
    return json.loads(html.unescape(found[1])), console


@pytest.mark.parametrize("place", range(len(WIDTHS)), ids=[f"{width} pixels" for width in WIDTHS])
def test_the_report_renders(seen, place):
    found = seen[0][place]
    assert found["width"] == WIDTHS[place]
    assert found["overflow"] <= 0, "the page itself scrolls sideways"
    assert {f"table-{name}" for name in tables()} <= set(found["tables"])
    assert found["grids"] == found["boxes"] > len(tables())
    benchmarks = list((PUBLISHED / "benchmarks").glob("*.svg"))  # committed, and shown in every report
    photographs = list(PUBLISHABLE["photographs"].glob("photographs_*.png"))
    assert len(found["pictures"]) == 2 + 5 + len(benchmarks) + len(photographs)  # 5: the kernels
    assert min(found["pictures"]) > 400
    assert found["wide"] == 0
    assert found["smallest"] >= 11


def test_claims_are_filtered_by_words_and_sorted_by_a_heading(seen):
    for found in (frame["filtered"] for frame in seen[0]):
        assert found["count"] == f"{len(found['shown'])} of {found['all']}"
        words = ("ablation-cam", "agrees", "opticam_table1")
        assert all(word in line for line in found["shown"] for word in words)
        words = [text.split()[0].lower() for text in found["first"]]
        assert words == sorted(words)


def test_wide_tables_scroll_inside_their_box_on_a_phone(seen):
    desktop, phone = seen[0]
    assert phone["scrolling"] > desktop["scrolling"]


def test_the_console_is_empty(seen):
    assert seen[1] == []


def test_an_error_would_be_seen(tmp_path):
    page = tmp_path / "broken.html"
    page.write_text("<script>nothing()</script><img src='https://example.org/a.png'>")
    console = browse(page, tmp_path)[1]
    assert any("nothing is not defined" in line for line in console)
