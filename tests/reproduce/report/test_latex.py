"""LaTeX tables compile with booktabs alone: plain characters, balanced braces, as many cells as columns."""

import re
from pathlib import Path

import pytest

from reproduce.published.numbers import published, tables
from reproduce.tables.layout import METRICS, Table, cells, to_latex

WRITTEN = sorted((Path(__file__).parents[3] / "figures" / "tables").glob("*.tex"))


def assert_compiles(text):
    assert text.isascii(), sorted({character for character in text if not character.isascii()})
    assert_well_formed(text)


def assert_well_formed(text):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]
    assert not re.search(r"(?<!\\)[%#_^~]", re.sub(r"\$[^$]*\$", "", text))
    width = len(re.search(r"\\begin\{tabular\}\{([lrc]+)\}", text)[1])
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    for line in (line for line in body.splitlines() if line.endswith(r"\\")):
        spans = re.findall(r"multicolumn\{(\d+)\}", line)
        assert len(re.split(r"(?<!\\)&", line)) + sum(int(span) - 1 for span in spans) == width, line


@pytest.mark.parametrize("name", tables())
def test_published_tables(name):
    frame = published(name)
    groups = ("dataset", "network") if frame["dataset"].nunique() > 1 else ("network",)
    assert_compiles(to_latex(Table(cells(frame), "A caption with 5 % & more_of_it", groups=groups)))


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_head_a_column(metric):
    frame = published("opticam_table1").head(1).assign(metric=metric)
    assert_compiles(to_latex(Table(cells(frame))))


@pytest.mark.parametrize("path", WRITTEN, ids=[path.stem for path in WRITTEN])
def test_tables_in_figures(path):
    assert_well_formed(path.read_text(encoding="utf-8"))
