"""The profile of photographs: offline, its own experiments alone, and probabilities that give the table's scores."""

import dataclasses
from types import SimpleNamespace

import pytest

from opticam.data.photographs import PHOTOGRAPHS
from reproduce.experiments import EXPERIMENTS
from reproduce.experiments.computing import Computation, compute
from reproduce.experiments.opticam.photographs import CLASS, MASKED
from reproduce.report.document import Picture
from reproduce.report.sections import photographs as section
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED, committed_tables
from reproduce.workspace.profile import load_profile
from reproduce.workspace.workspace import Workspace

NETWORK = "efficientnet_lite0"
COUNTS = {"Fake-CAM": 3, "Grad-CAM": 3, "Opti-CAM": 2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Three photographs under three methods, Opti-CAM on two of them."""
    profile = load_profile("photographs")
    changes = {"methods": tuple(COUNTS), "iterations": 3, "counts": {"Opti-CAM": 2}}
    saliency = dataclasses.replace(profile.saliency, **changes)
    profile = dataclasses.replace(profile, saliency=saliency, limit=3)
    given = Workspace(profile, results=tmp_path_factory.mktemp("photographs"), progress=False)
    compute(Computation(given, [EXPERIMENTS[name] for name in saliency.experiments]))
    return given


def test_the_profile_has_its_own_experiments_alone():
    profile = load_profile("photographs")
    applied = {name for name, experiment in EXPERIMENTS.items() if experiment.applies(profile)}
    assert applied == {"opticam-main", "photographs"}
    assert not EXPERIMENTS["photographs"].applies(load_profile("sample"))
    assert committed_tables(profile.name) != committed_tables("sample")
    assert load_profile("sample").same_everywhere and not profile.same_everywhere


def test_the_probabilities_under_the_photographs_give_the_scores_of_the_table(workspace):
    stored = EXPERIMENTS["photographs"].stored(workspace)[NETWORK]
    cells = EXPERIMENTS["opticam-main"].tables(workspace)["opticam_table1"].cells
    measured = cells[cells["n"] > 0].set_index(["method", "metric"])
    for method, count in COUNTS.items():
        plain, masked = 100 * stored[CLASS].double()[:count], 100 * stored[MASKED + method].double()
        drop = (100 * (plain - masked).clamp(min=0) / plain).mean()
        gain = (100 * (masked - plain).clamp(min=0) / (100 - plain)).mean()
        increase = 100 * (masked > plain).double().mean()
        assert measured.loc[(method, "AD"), "n"] == count
        for name, expected in (("AD", drop), ("AG", gain), ("AI", increase)):
            found = measured.loc[(method, name), "measured"]
            assert found == pytest.approx(float(expected), abs=0.01)  # a float32 probability, in percent


def test_figures_show_every_photograph_and_say_what_is_explained(workspace):
    figures = EXPERIMENTS["photographs"].figures(workspace)
    assert set(figures) == {f"photographs_{NETWORK}"}  # the teaser waits for all of its methods
    titles = [axis.get_title() for axis in figures[f"photographs_{NETWORK}"].axes]
    assert titles[0] == "tiger cat, p = 0.38"
    assert (
        sum(title == "Opti-CAM" for title in titles) == 2
        and sum(title == "Grad-CAM" for title in titles) == 3
    )
    caption = EXPERIMENTS["opticam-main"].tables(workspace)["opticam_table1"].caption
    assert "the explained class is the predicted one" in caption and "accuracy" not in caption


def report_of(results, folder=None):
    """What the section reads of a report on `results` that lies in a folder."""
    return SimpleNamespace(workspace=SimpleNamespace(results=results), folder=folder or results)


def test_the_published_report_shows_the_published_photographs_whatever_the_machine_has(tmp_path):
    (tmp_path / "photographs" / "tables").mkdir(parents=True)
    (tmp_path / "photographs" / f"photographs_{NETWORK}.png").write_bytes(b"")
    published = PUBLISHABLE["photographs"]
    for folder, expected in ((tmp_path, tmp_path / "photographs"), (PUBLISHED, published)):
        blocks = list(section.photographs_section(report_of(tmp_path / "sample", folder)))
        assert [block.path.parent for block in blocks if isinstance(block, Picture)] == [expected]


def test_the_report_shows_the_run_beside_its_own_and_names_the_licences(workspace, tmp_path, monkeypatch):
    monkeypatch.setitem(section.PUBLISHABLE, "photographs", tmp_path / "nowhere")
    given = report_of(tmp_path / "sample")
    blocks = list(section.photographs_section(given))
    assert [type(block).__name__ for block in blocks] == ["Heading", "Paragraph", "Command"]
    (tmp_path / "photographs" / "tables").mkdir(parents=True)
    (tmp_path / "photographs" / f"photographs_{NETWORK}.png").write_bytes(b"")
    picture = list(section.photographs_section(given))[1]
    assert all(
        photo.credit in picture.caption and photo.licence in picture.caption for photo in PHOTOGRAPHS.values()
    )


def test_the_explorer_has_every_photograph_and_method_that_was_measured(workspace, tmp_path):
    results = tmp_path / "photographs"
    results.symlink_to(workspace.results)
    found = list(section._explanations(report_of(tmp_path / "sample")))
    assert len(found) == sum(COUNTS.values())
    stored = EXPERIMENTS["photographs"].stored(workspace)[NETWORK]
    names = workspace.source.names
    for one in found:
        place = names.index(one.photograph)
        assert one.before == float(stored[CLASS][place])
        assert one.after == float(stored[MASKED + one.method][place])
        exact = 255 * stored["images"][place].permute(1, 2, 0) * stored[one.method][place][..., None]
        assert abs(one.masked_photo - exact.numpy()).max() <= 0.5 + 1e-4
