"""Tables and figures on disk are whole: what a killed run was writing is not taken for what was there before."""

from types import SimpleNamespace

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from reproduce.experiments import outputs
from reproduce.experiments.outcome import Outcome
from reproduce.experiments.outputs import Outputs, draw

KINDS = {"tables": Outputs.tables, "figures": lambda folder: draw([folder])}


@pytest.fixture
def open_outputs(tmp_path, monkeypatch):
    """The folder of one experiment, whose table and figure say `text`."""
    for kind in ("csv", "markdown", "latex"):
        monkeypatch.setattr(outputs, f"to_{kind}", lambda table: table.cells)

    def open_(text, anew=False):
        figure = Figure()
        figure.text(0.5, 0.5, text)
        experiment = SimpleNamespace(
            name="e",
            drawing=1,
            tables=lambda workspace: {"t": SimpleNamespace(cells=text)},
            figures=lambda workspace: {"f": figure},
        )
        return Outputs([Outcome(None, experiment)], tmp_path / "out", digest="same", anew=anew)

    return open_


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_while_it_writes_leaves_what_was_there(open_outputs, monkeypatch, kind):
    """With --force all inputs are those of before: an empty file would count as up to date ever after."""
    write, first = KINDS[kind], open_outputs("first")
    assert list(write(first))
    before = contents(first.folder)

    def killed(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("opticam.data.files.os.fsync", killed)  # all is written, nothing has taken its place
    with pytest.raises(KeyboardInterrupt):
        list(write(open_outputs("another", anew=True)))
    assert contents(first.folder) == before
    assert not list(write(open_outputs("first")))


def test_a_figure_is_a_png_and_a_pdf_of_the_same_bytes_each_time(open_outputs):
    png, pdf = draw([open_outputs("text")])
    assert matplotlib.image.imread(png).shape[2] == 4 and pdf.read_bytes().startswith(b"%PDF")
    before = contents(png.parent)
    assert list(draw([open_outputs("text", anew=True)])) == [png, pdf]
    assert contents(png.parent) == before
