"""The report on seven random pictures: every cell is there with its verdict, and its command gives it again."""

import base64
import csv
import html
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from reproduce.__main__ import main
from reproduce.claims.summary import STATES
from reproduce.cli import commands, running
from reproduce.cli.opening import workspace
from reproduce.experiments.computing import MAPS
from reproduce.experiments.dpnet.main import MainTable
from reproduce.parts.models import EXPERIMENT, run_key
from reproduce.published.numbers import tables
from reproduce.report.content import Given
from reproduce.report.document import MARKS
from reproduce.report.sections.making import SEEDS, how_made
from reproduce.tables.metric_names import METRICS
from reproduce.tables.statistics import CELL_VERDICTS
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED, ROOT
from reproduce.workspace.store import Row, Store

CHOSEN = ("opticam-main", "opticam-localization", "opticam-selectivity", "opticam-iterations")


class Page(HTMLParser):
    """The page's tags with their attributes, and each heading's following grid and command by anchor."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.grids, self.commands, self.text = [], {}, {}, []
        self.banners, self.bars, self.files = set(), {}, {}
        self._anchor, self._cell, self._code = None, None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if re.fullmatch("h[23]", tag):
            self._anchor = attributes.get("id")
        elif attributes.get("class") == "banner":
            self.banners.add(self._anchor)
        elif tag == "a" and "download" in attributes:
            content = base64.b64decode(attributes["href"].partition(";base64,")[2]).decode("utf-8")
            self.files.setdefault(self._anchor, {})[attributes["download"]] = content
        elif tag == "a" and "title" in attributes:
            self.bars[attributes["href"].lstrip("#")] = attributes["title"]
        elif tag == "tr":
            self.grids.setdefault(self._anchor, []).append([])
        elif tag in ("td", "th"):
            self._cell = [attributes.get("class", ""), ""]
        elif tag == "pre":
            self._code = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.grids[self._anchor][-1].append(tuple(self._cell))
            self._cell = None
        elif tag == "pre":
            self.commands.setdefault(self._anchor, self._code)
            self._code = None

    def handle_data(self, data):
        self.text.append(data)
        if self._cell is not None:
            self._cell[1] += data
        if self._code is not None:
            self._code += data


@pytest.fixture(scope="module")
def tiny_command(make_module_workspace):
    """`python -m reproduce` on the tiny workspace."""
    patch = pytest.MonkeyPatch()
    for module in (commands, running):
        patch.setattr(module, "workspace", lambda options: make_module_workspace(Path(options.results)))
    yield main
    patch.undo()


@pytest.fixture(scope="module")
def written(tiny_command, tmp_path_factory):
    """The folder of a report of some experiments; the others are in it as "not run"."""
    folder = tmp_path_factory.mktemp("report")
    place = ["--profile", "test", "--results", str(folder / "results"), "--output", str(folder), "--quiet"]
    only = [word for name in CHOSEN for word in ("--only", name)]
    assert tiny_command(["run", *only, *place]) == 0
    assert tiny_command(["report", *place]) == 0
    return folder


@pytest.fixture(scope="module")
def page(written):
    return Page((written / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_one_file_without_external_resource(page):
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]  # one, inside the page
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name][:60])


def _broken_links(page):
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and "href" in attributes]
    return [link for link in links if link.startswith("#") and link[1:] not in anchors]


def test_every_link_within_the_page_has_an_end(page):
    assert not _broken_links(page)


def test_a_look_at_photographs_tells_of_them_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "workspace", workspace)
    place = ["--profile", "photographs", "--results", str(tmp_path / "results"), "--output", str(tmp_path)]
    assert main(["report", *place]) == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    anchors = {attributes.get("id") for _, attributes in page.tags}
    assert "table-opticam_table1" in anchors
    assert not anchors & {"benchmarks", "studies", "table-opticam_table2", "table-dpnet_main"}
    assert not _broken_links(page)


def test_every_published_table_is_there(page):
    assert {f"table-{name}" for name in tables()} <= set(page.grids)


@pytest.mark.parametrize("table", ["opticam_table1", "opticam_tableA7", "opticam_tableA7_formulas"])
def test_every_cell_has_published_measured_interval_n_and_verdict(page, written, table):
    cells = pd.read_csv(written / "tables" / f"{table}.csv")
    metrics = {name: place for place, name in enumerate(cells["metric"].unique())}  # the order of columns
    for name, own in cells.sort_values("metric", key=lambda names: names.map(metrics)).groupby("method"):
        line = next(line for line in page.grids[f"table-{table}"] if line[0][1] == name)
        assert len(line) - 1 == 2 * len(own)  # published and measured
        for published, (kind, text), cell in zip(line[1::2], line[2::2], own.to_dict("records")):
            digits = METRICS[cell["metric"]].digits
            numbers = [cell["published"], cell["measured"]]
            expected = ["\N{EN DASH}" if pd.isna(number) else f"{number:.{digits}f}" for number in numbers]
            assert published[1] == expected[0] and text.startswith(expected[1])
            assert f"[{cell['low']:.{digits}f}, {cell['high']:.{digits}f}] n {cell['n']}" in text
            assert cell["verdict"] == "not comparable" and kind == ""  # said once, above the table
    assert f"table-{table}" in page.banners


@pytest.mark.parametrize("name", ["opticam_table1", "opticam_tableA7_formulas"])
def test_a_table_of_the_papers_is_kept_as_it_was_written(page, written, name):
    kept = page.files[f"table-{name}"]
    assert set(kept) == {f"{name}.csv", f"{name}.tex"}
    for file, text in kept.items():
        assert text == (written / "tables" / file).read_text(encoding="utf-8")


def test_every_table_can_be_kept_in_both_forms(page):
    grids = sum(tag == "table" for tag, _ in page.tags)
    links = [
        attributes["download"] for tag, attributes in page.tags if tag == "a" and "download" in attributes
    ]
    for suffix in (".csv", ".tex"):
        assert sum(name.endswith(suffix) for name in links) == grids > len(tables())
    lines = list(csv.reader(page.files["claims-orderings"]["claims-orderings.csv"].splitlines()))
    assert len(lines) == len(page.grids["claims-orderings"])
    assert lines[0][:2] == ["claim", "verdict"] and set(map(len, lines)) == {5}


def test_a_table_says_from_how_many_images_and_seeds_it_is_and_what_it_took(page, written):
    whole = " ".join(page.text)
    seconds = Store(written / "results" / "results.sqlite").stages().groupby("stage")["seconds"].max()
    stage = f"{MAPS} , shared by all tables of maps, took {seconds[MAPS]:.1f} s"
    assert f"Made from 7 images; {SEEDS}; stage {stage}." in re.sub(r"\s+", " ", whole)
    assert "Nothing was run for it: no images, no seeds, no time." in whole


@pytest.mark.parametrize(("limit", "words"), [(None, "seeds 0 to 1"), (3, "seed 0")])
def test_a_table_of_dp_net_says_its_seeds_and_the_time_of_its_own_runs(make_parts_workspace, limit, words):
    """A first look and the whole run share the store; neither says what the other took."""
    workspace = make_parts_workspace(limit=limit)
    experiment = MainTable()
    keys = "test", workspace.of_models(EXPERIMENT), "tiny", "Global", run_key("fine", 0)
    workspace.store.write([Row(*keys, "accuracy", 60.0)])
    for size, seconds in ((limit, 12.34), (3 if limit is None else None, 99.0), (4, 99.0)):
        arguments = {"profile": "test"} | ({"limit": str(size)} if size else {})
        run = workspace.store.start_run(commit="c", versions={}, device="d", seed=0, arguments=arguments)
        workspace.store.add_stage(run, experiment.name, seconds)
    table = experiment.tables(workspace)["dpnet_main"]
    text = how_made(Given(workspace, [], workspace.results, None, "", str), experiment, table).text
    assert "from 1 training run or picture a cell (test pictures: fine 240)" in text
    assert f"; {words}; stage `dpnet-main` took 12.3 s." in text


def test_what_was_not_run_says_so_and_why(page):
    whole = " ".join(page.text)
    for kind, text in (cell for line in page.grids["table-opticam_tableA10"][1:] for cell in line if cell[0]):
        assert kind == "not-run" and "not run" in text
    reasons = whole.split("needs the Chest X-ray and ")[
        1:
    ]  # below two tables, and for each network in the summary
    told = "Kvasir pictures, and networks trained on them, which are not public"
    assert len(reasons) == 6 and all(text.startswith(told) for text in reasons)
    assert "Not yet measured." in whole
    assert "Not run. The command that measures it:" in whole


def test_the_legend_explains_every_verdict(page):
    whole = " ".join(page.text)
    for verdict in CELL_VERDICTS:
        assert f"{MARKS[verdict]} {verdict}" in whole


@pytest.mark.parametrize(
    ("table", "method", "column"),
    [("opticam_table1", "Opti-CAM", 2), ("opticam_table1", "LIME", 1), ("opticam_tableA7", "Grad-CAM", 4)],
)
def test_the_command_of_a_table_gives_a_cell_again(tiny_command, page, tmp_path, table, method, column):
    """As a reader would: the command printed above the table, in a new store, and then the cell it wrote."""
    words = shlex.split(page.commands[f"table-{table}"])
    assert words[:3] == ["python", "-m", "reproduce"]
    for option, folder in (("--results", tmp_path / "results"), ("--output", tmp_path)):
        words[words.index(option) + 1] = str(folder)
    assert tiny_command(words[3:]) == 0
    report = ["report", "--results", str(tmp_path / "results"), "--output", str(tmp_path)]
    assert tiny_command(report) == 0
    again = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    cells = [
        next(line for line in found.grids[f"table-{table}"] if line[0][1] == method)[column]
        for found in (page, again)
    ]
    assert cells[0] == cells[1] and any(character.isdigit() for character in cells[0][1])


def test_every_figure_is_inside_with_its_command_and_commit(page, written):
    drawn = sorted(path.name for path in written.glob("*.png"))
    assert len(drawn) == 3
    benchmarks = list((PUBLISHED / "benchmarks").glob("*.svg"))  # committed, and shown in every report
    photographs = list(PUBLISHABLE["photographs"].glob("photographs_*.png"))
    kernels = list(written.glob("kernel_*.svg"))
    assert (
        len(kernels) == 3 + 2
    )  # speed-ups: masking on CPU and GPU, similarity on the CPU; a roofline of each device
    images = [tag for tag, _ in page.tags].count("img")
    assert images == len(drawn) + len(benchmarks) + len(photographs) + len(kernels)
    whole = " ".join(page.text)
    for name in drawn:
        assert name in whole
    assert whole.count("drawn by") == len(drawn)
    assert "reproduce figures --only opticam-selectivity" in whole


def test_every_claim_stands_with_its_evidence_and_verdict(page, written):
    claims = pd.read_csv(written / "tables" / "claims.csv", keep_default_na=False)
    grids = {
        "ordering": "claims-orderings",
        "assertion": "claims-assertions",
        "own statement": "own-statements",
    }
    for kind, own in claims.groupby("kind"):
        lines = page.grids[grids[kind]][1:]
        assert len(lines) == len(own) > 0
        order = own["verdict"].map({state: place for place, state in enumerate(STATES)})
        for line, claim in zip(lines, own.iloc[order.argsort(kind="stable")].to_dict("records")):
            assert line[0][1].startswith(claim["claim"]) and claim["place"] in line[0][1]
            for (_, shown), verdict in zip(line[1:3], (claim["verdict"], claim["adjusted_verdict"])):
                assert shown.strip() == f"{verdict} {MARKS.get(verdict, '')}".strip()
            if float(claim["n"]):
                assert f"{claim['n']} {claim['unit']} that both have" in line[3][1]
            assert claim["measured_network"] in line[4][1]
    assert (claims["n"].astype(float) > 0).any()


def test_the_bars_count_the_claims_by_verdict_and_lead_to_them(page, written):
    claims = pd.read_csv(written / "tables" / "claims.csv", keep_default_na=False)
    judged = claims[claims["verdict"].isin(MARKS)]
    expected = {
        "-".join((*key,)).lower().replace(" ", "-").replace(",", ""): f"{len(group)} {key[2]}"
        for key, group in judged.groupby(["kind", "paper", "verdict"])
        if key[1] == "Opti-CAM" or key[0] == "own statement"  # the tiny profile runs nothing of DP-Net
    }
    anchors = {attributes.get("id") for _, attributes in page.tags}
    assert expected.items() <= page.bars.items()
    assert set(page.bars) <= anchors


def test_a_gap_between_protocols_is_the_tables_own(page, written):
    """The deviation of the localisation tables against the two tables' own cells."""
    cells = {
        name: pd.read_csv(written / "tables" / f"opticam_tableA7{name}.csv").set_index(["method", "metric"])
        for name in ("", "_formulas")
    }
    text = "LE of Opti-CAM on tiny, 7 images"
    line = next(line for line in page.grids[None] if line[0][1] == text)
    shown = [float(cell[1].split()[0]) for cell in line[1:]]
    legacy, formulas = (cells[name].loc[("Opti-CAM", "LE"), "measured"] for name in ("", "_formulas"))
    assert shown == pytest.approx([legacy, formulas, formulas - legacy], abs=0.06)


def test_every_link_of_the_markdown_has_an_end_that_is_here_or_in_the_checkout(written):
    """Anchors are as GitHub makes them of headings; what git ignores is on no other machine."""
    text = re.sub(r"^```.*?^```", "", (written / "REPORT.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", text, re.M)]
    anchors = {f"#{heading.replace(' ', '-')}" for heading in words}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    here = {*written.rglob("*"), *(ROOT / name for name in tracked.splitlines())}
    targets = set(re.findall(r"\]\(([^)]+)\)", text))
    assert {"#tables", "#run-time-of-each-stage"} < targets
    linked = [target for target in targets if not target.startswith(("#", "http"))]
    assert [target for target in linked if (written / target).resolve() not in here] == []
    assert {target for target in targets if target.startswith("#")} <= anchors


def test_no_link_is_left_as_it_was_written(page):
    assert "](" not in " ".join(page.text)


def test_markdown_tells_the_same(written, page):
    text = (written / "REPORT.md").read_text(encoding="utf-8")
    shown = next(line for line in page.grids["table-opticam_table1"] if line[0][1] == "Opti-CAM")
    rows = [line for line in text.splitlines() if line.startswith("| Opti-CAM |")]
    row = next(line for line in rows if line.count(" | ") + 1 == len(shown))
    for (_, cell), printed in zip(shown[1:], row.split(" | ")[1:]):
        assert re.findall(r"[\d.]+", cell) == re.findall(r"[\d.]+", printed)


def test_run_times_and_environment_are_recorded(page):
    whole = " ".join(page.text)
    assert "saliency maps and their metrics" in whole and "all stages" in whole
    assert re.search(r"torch \d+\.\d+", whole)
    said = [cell for line in page.grids["environment"] for _, cell in line]
    assert said[said.index("seeds of saliency") + 1] == SEEDS
    assert whole.count("draw samples") == whole.count(SEEDS)


def test_a_second_report_of_the_same_store_is_left_alone(tiny_command, written, capsys):
    place = ["--results", str(written / "results"), "--output", str(written)]
    before = (written / "report.html").stat().st_mtime_ns
    assert tiny_command(["report", *place]) == 0
    assert "is up to date" in capsys.readouterr().out
    assert (written / "report.html").stat().st_mtime_ns == before
    assert tiny_command(["report", "--force", *place]) == 0
    assert (written / "report.html").stat().st_mtime_ns > before


def test_tables_beside_their_store_are_written_once(tiny_command, written, tmp_path, capsys):
    """Without --output they lie in the folder whose files are inputs."""
    results = shutil.copytree(written / "results", tmp_path / "results")
    tiny_command(["tables", "--results", str(results)])
    assert "table   " in capsys.readouterr().out
    tiny_command(["tables", "--results", str(results)])
    assert "are up to date" in capsys.readouterr().out


def test_texts_are_escaped():
    from reproduce.report.document import Document, Heading, Paragraph
    from reproduce.report.html import to_html

    hostile = "<script>alert('x')</script> & `a<b`"
    text = to_html(Document("t", [Heading(1, "t"), Paragraph(hostile)]))
    assert "<script>alert" not in text
    assert html.escape("<script>") in text and "<code>a&lt;b</code>" in text


def test_studies_are_shown_with_their_numbers(tmp_path):
    """A study's Markdown, and a CSV file that belongs to none; one that belongs to a shown study is not repeated."""
    from types import SimpleNamespace

    from reproduce.report.document import Document, Heading
    from reproduce.report.html import to_html
    from reproduce.report.sections.studies import studies_section

    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "one.md").write_text("# First study\n\n| a | b |\n| --- | --- |\n| x | 12.5 |\n")
    (folder / "one_runs.csv").write_text("hidden\n777\n")
    (folder / "two.csv").write_text("value\n34.5\n")
    blocks = list(studies_section(SimpleNamespace(measured=lambda kind: tmp_path / kind)))
    grids = Page(to_html(Document("t", [Heading(1, "t"), *blocks]))).grids
    shown = {text for lines in grids.values() for line in lines for _, text in line}
    assert {"12.5", "34.5"} <= shown and "777" not in shown


def test_a_study_in_a_folder_is_shown_with_its_text_and_its_tables(tmp_path):
    from types import SimpleNamespace

    from reproduce.report.document import Document, Heading
    from reproduce.report.html import to_html
    from reproduce.report.markdown import to_markdown
    from reproduce.report.sections.studies import studies_section

    tables = tmp_path / "studies" / "subset" / "tables"
    tables.mkdir(parents=True)
    command = "    python -m one \\\n        --two"
    items = "- first\n  claim\n- second"
    link = "Of [others](../others/README.md)."
    text = f"# Some photographs\n\nTwo lines\nof text.\n\n{command}\n\n## Claims\n\n{items}\n\n{link}\n"
    (tables.parent / "README.md").write_text(text)
    (tmp_path / "studies" / "others").mkdir()
    (tmp_path / "studies" / "others" / "README.md").write_text("# Other photographs\n")
    line = r"| Opti-CAM \[a\|b\] | **1.5** |"
    (tables / "main.md").write_text(f"**Caption**\n\n| method | AD |\n| --- | ---: |\n{line}\n\nLegend.\n")
    (tables / "main.csv").write_text("hidden\n777\n")
    document = Document(
        "t", [Heading(1, "t"), *studies_section(SimpleNamespace(measured=lambda kind: tmp_path / kind))]
    )
    shown = to_html(document)
    page = Page(shown)
    assert "777" not in shown and "Two lines of text." in shown and "Legend." in shown
    assert "<li>first claim</li><li>second</li>" in shown and "<h4>Claims</h4>" in shown
    assert list(page.commands.values()) == ["python -m one \\\n    --two"]
    assert [text for _, text in page.grids["study-subset"][-1]] == ["Opti-CAM [a|b]", "1.5"]
    written = to_markdown(document, tmp_path)
    assert 'Of <a href="#study-others">others</a>.' in shown and 'id="study-others"' in shown
    assert "Of [others](#other-photographs)." in written
    assert line in written and "#### main" in written and "From `studies/subset/tables/main.md`." in written
