"""Parts against true parts: the table and the claim on a hand-made store."""

import pytest

from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import Results
from reproduce.experiments.dpnet.quality import OF_RANDOM, QUALITY, QualityTable
from reproduce.parts.models import EXPERIMENT, RANDOM_PARTS, run_key
from reproduce.tables.layout import to_latex, to_markdown
from reproduce.workspace.store import Row

LEARNED = {"purity": (30.0, 34.0), "hit": (20.0, 24.0), "hit_by_chance": (6.0, 6.0), "distance": (9.0, 9.5)}
RANDOM = {"purity": (7.0, 5.0), "hit": (10.0, 8.0), "hit_by_chance": (6.0, 6.0), "distance": (12.0, 11.0)}


def fill(workspace, **changes) -> None:
    """Two seeds of the unconstrained parts, learned and random."""
    values = LEARNED | {f"random_{name}": pair for name, pair in RANDOM.items()} | changes
    workspace.store.write(
        Row("test", EXPERIMENT, "tiny", "Parts [none]", run_key("fine", seed), metric, value)
        for metric, pair in values.items()
        for seed, value in enumerate(pair)
    )


def test_cells_are_the_means_over_the_seeds_learned_beside_random(make_parts_workspace):
    workspace = make_parts_workspace()
    fill(workspace)
    cells = QualityTable().tables(workspace)["dpnet_quality"].cells.set_index(["method", "metric"])
    assert len(cells) == 2 * len(QUALITY) and set(cells["n"]) == {2}
    for method, values in (("Parts", LEARNED), (RANDOM_PARTS, RANDOM)):
        for metric, (first, second) in values.items():
            cell = cells.loc[(method, metric)]
            assert cell["measured"] == (first + second) / 2
            assert cell["sd"] == pytest.approx(abs(first - second) / 2**0.5)


def test_the_hits_of_chance_are_a_baseline_and_never_the_best(make_parts_workspace):
    workspace = make_parts_workspace()
    fill(workspace, hit_by_chance=(67.0, 67.0))
    table = QualityTable().tables(workspace)["dpnet_quality"]
    heads, _, parts, random = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in to_markdown(table).splitlines()
        if line.startswith("|")
    )
    assert heads[1:] == [
        f"Birds resnet50 {name}" for name in ("purity ↑", "hit ↑", "hit by chance", "distance ↓")
    ]
    bold = [name for name, text in zip(heads, parts) if "**" in text]
    assert bold == [heads[1], heads[2], heads[4]] and not any("**" in text for text in random)
    assert "67.0" in parts[3]
    assert to_latex(table).count(r"\textbf") == 3


def verdicts(workspace) -> tuple[str, str]:
    """Of the two statements: purer than random parts, more hits than by chance."""
    claims = frame(judge(Results(QualityTable().results(workspace)))).set_index("id")["verdict"]
    return claims["purer-parts"], claims["parts-hit"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("agrees", "agrees")),
        ({"purity": (1.0, -1.0)}, ("contradicts", "agrees")),
        ({"purity": (5.0, 6.0)}, ("inconclusive", "agrees")),
        ({"hit_by_chance": (24.0, 20.0)}, ("agrees", "inconclusive")),
        ({"random_hit": (99.0, 99.0)}, ("agrees", "agrees")),
    ],
    ids=["purer and nearer", "less pure", "as pure", "hits as by chance", "random parts' hits do not count"],
)
def test_parts_must_be_purer_than_random_and_hit_more_than_chance(make_parts_workspace, changes, expected):
    workspace = make_parts_workspace()
    fill(
        workspace, **{"purity": (32.0, 30.0), "hit_by_chance": (6.0, 10.0)} | changes
    )  # differences of no spread
    assert verdicts(workspace) == expected


def test_without_results_there_is_no_table_and_no_verdict(make_parts_workspace):
    workspace = make_parts_workspace()
    assert not len(QualityTable().tables(workspace)["dpnet_quality"].cells)
    assert verdicts(workspace) == ("not run", "not run")
    assert set(OF_RANDOM.values()) == set(QUALITY)


def test_only_pictures_whose_true_parts_are_known_are_judged(make_parts_workspace):
    assert QualityTable().applies(make_parts_workspace().profile)
    assert not QualityTable().applies(make_parts_workspace(source="folder").profile)
