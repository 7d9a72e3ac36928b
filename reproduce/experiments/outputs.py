"""Write tables and figures into a folder; each is a pure function of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from opticam.data.files import write_text
from opticam.plotting import write_figure
from reproduce.experiments.outcome import Outcome
from reproduce.tables.layout import to_csv, to_latex, to_markdown
from reproduce.workspace.environment import commit
from reproduce.workspace.processes import share, wait
from reproduce.workspace.provenance import Drawn

DPI = 100


class Outputs:
    """A folder for the tables and figures of some experiments.

    digest: hash of their inputs; what was made of the same ones is left alone unless all is to be made anew.
    """

    def __init__(self, told: list[Outcome], folder: Path, digest: str, anew: bool = False) -> None:
        self.told, self.folder, self.digest, self.anew = told, folder, digest, anew
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        self.drawn = Drawn(folder)
        self.commit = commit()

    def tables(self) -> Iterator[Path]:
        """Write every table that is out of date; yields the paths."""
        for outcome in self.outdated("tables"):
            files = []
            for name, table in outcome.tables.items():
                for suffix, text in (
                    ("csv", to_csv(table)),
                    ("md", to_markdown(table)),
                    ("tex", to_latex(table)),
                ):
                    files.append(self.folder / "tables" / f"{name}.{suffix}")
                    write_text(files[-1], text)
                    yield files[-1]
            self._record(outcome, "tables", files)

    def draw(self, outcome: Outcome) -> Iterator[Path]:
        """Draw the figures of an experiment, as PNG and PDF, and write down of what; yields the paths."""
        # Where no title may have to give way to ticks above its axes, matplotlib need not measure them all.
        with matplotlib.rc_context({"axes.titley": 1.0}):
            figures = outcome.experiment.figures(outcome.workspace)
        files = []
        for name, figure in figures.items():
            files += [self.folder / f"{name}.png", self.folder / f"{name}.pdf"]
            _save(figure, *files[-2:])
            yield from files[-2:]
        self._record(outcome, "figures", files)

    def outdated(self, kind: str) -> Iterator[Outcome]:
        """Experiments whose tables or figures are to be made anew."""
        for outcome in self.told:
            if self.anew or not self.drawn.current(outcome.experiment.name, kind, self.digest):
                yield outcome

    def recorded(self, kind: str) -> list[str]:
        """The files of a kind that lie in the folder."""
        entries = (self.drawn.entry(outcome.experiment.name, kind) for outcome in self.told)
        return [file for entry in entries if entry for file in entry.files]

    def _record(self, outcome: Outcome, kind: str, files: list[Path]) -> None:
        self.drawn.record(outcome.experiment.name, kind, self.digest, self.commit, files)


def draw(folders: Sequence[Outputs]) -> Iterator[Path]:
    """Draw every figure of some folders that is out of date; yields the paths.

    The processes of a group share them, and when one has drawn its own it waits for the others.
    """
    outdated = [(folder, outcome) for folder in folders for outcome in folder.outdated("figures")]
    wait()  # nobody records before all have looked
    for folder, outcome in share(outdated, lambda item: item[1].experiment.drawing):
        yield from folder.draw(outcome)
    wait()


def _save(figure: Figure, png: Path, pdf: Path) -> None:
    """Draw a figure into both files, laid out once: `bbox_inches="tight"` alone would do it anew for each, twice."""
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    tight = figure.get_tightbbox().padded(matplotlib.rcParams["savefig.pad_inches"])
    # No creation date in the file: the same store gives the same bytes.
    for path, metadata in ((png, None), (pdf, {"CreationDate": None})):
        write_figure(figure, path, dpi=DPI, bbox_inches=tight, metadata=metadata)
