import pytest
import torch
from torch.nn.functional import normalize

from dpnet.data.backbone import load_backbone
from dpnet.data.layouts import detect_layout
from dpnet.data.manifest import weights_hash
from dpnet.data.sources import BackboneSource, DataSource
from dpnet.model.constraints import own_class_mask
from dpnet.model.evaluation import mean_bag
from dpnet.model.part_layer import GlobalClassifier, PartClassifier
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.model.regions import RegionScheme
from dpnet.training.saving import ModelCard, load_model, save_model
from opticam.networks import build_network


@pytest.fixture
def features():
    return torch.rand(12, 9, 3, 4, generator=torch.Generator().manual_seed(0))


LABELS = torch.arange(12) % 3
RECIPES = [PartRecipe(2, RegionScheme("pyramid", (1, 3)), initialisation="kmeans"), GlobalRecipe("none")]


@pytest.mark.parametrize("recipe", RECIPES, ids=["parts", "global"])
def test_a_recipe_gives_the_same_model_for_the_same_seed_whatever_was_drawn_before(recipe, features):
    first = recipe.build(features, LABELS, 3, seed=4)
    torch.rand(7)
    state = torch.get_rng_state()
    second, other = recipe.build(features, LABELS, 3, seed=4), recipe.build(features, LABELS, 3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    torch.testing.assert_close(first.centre, features.mean(dim=(0, 2, 3)))


@pytest.mark.parametrize("recipe", RECIPES, ids=["parts", "global"])
def test_a_saved_model_gives_the_same_logits_and_card(tmp_path, recipe, features):
    model = recipe.build(features, LABELS, 3)
    card = ModelCard(
        BackboneSource("resnet50", "w.pth", mean=(0.1, 0.2, 0.3)),
        DataSource("pictures", size=96),
        ("a", "b", "c"),
        {"epochs": 3},
        {"test_accuracy": 50.0},
    )
    if isinstance(model, PartClassifier):
        model.mean_bag = mean_bag(model, features)
        expected = model(features).bag_of_parts.mean(dim=0)
        torch.testing.assert_close(model.mean_bag, expected)
    again, read = load_model(save_model(tmp_path / "model", model, card))
    assert again.state_dict().keys() == model.state_dict().keys()
    assert read == card and type(again) is type(model)
    expected, found = model(features), again(features)
    if isinstance(model, PartClassifier):
        expected, found = expected.logits, found.logits
    assert torch.equal(found, expected)


def test_every_field_of_a_recipe_reaches_the_model(features):
    scheme = RegionScheme("pyramid", (2,), "none")
    recipe = PartRecipe(2, scheme, 0.7, False, "class_regions", "own_minus_half")
    model, other = (recipe.build(features, LABELS, 3, seed) for seed in (4, 5))
    assert (model.parts_per_class, model.scheme, model.temperature) == (2, scheme, 0.7)
    assert model.centre.abs().max() == 0
    assert torch.equal(model.classifier.weight.detach(), torch.where(own_class_mask(3, 2), 1.0, -0.5))
    assert not torch.equal(model.parts, other.parts)
    regions = scheme(features).flatten(0, 1)
    assert (normalize(regions) @ model.parts.detach().T).amax(dim=0).min() == pytest.approx(1, abs=1e-5)
    baseline = GlobalRecipe("none", False).build(features, LABELS, 3)
    assert baseline.x_norm == "none" and baseline.centre.abs().max() == 0


@pytest.mark.parametrize(
    "model",
    [
        PartClassifier(9, 3, 2, scheme=RegionScheme("pyramid", (1, 3), "none"), temperature=0.7, bias=False),
        GlobalClassifier(9, 3, x_norm="none", bias=False),
    ],
    ids=["parts", "global"],
)
def test_a_saved_model_is_built_again_with_every_argument(tmp_path, features, model):
    card = ModelCard(BackboneSource("a"), DataSource("b"), ("c",), {}, {})
    again, _ = load_model(save_model(tmp_path / "model", model, card))
    if isinstance(model, PartClassifier):
        found, expected = (one(features, with_entropy=True) for one in (again, model))
    else:
        found, expected = [again(features)], [model(features)]
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("temperature", [0.0, float("nan"), float("inf")])
def test_a_temperature_that_is_no_number_above_0_is_refused_at_once(temperature):
    for build in (lambda t: PartRecipe(temperature=t), lambda t: PartClassifier(9, 3, temperature=t)):
        with pytest.raises(ValueError, match=f"temperature is {temperature}"):
            build(temperature)
    with pytest.raises(ValueError, match="parts_per_class is 0"):
        PartRecipe(0)


def test_a_damaged_model_folder_is_named(tmp_path, features):
    card = ModelCard(BackboneSource("a"), DataSource("b"), ("c",), {}, {})
    folder = save_model(tmp_path / "model", GlobalClassifier(9, 3), card)
    (folder / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(folder)
    (folder / "model.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.json"):
        load_model(folder)


def test_a_backbone_file_may_lack_the_head_or_have_another_one(tmp_path):
    network = build_network("squeezenet1_1")
    images = torch.rand(2, 3, 64, 64)
    state = network.state_dict()
    reference = load_backbone("squeezenet1_1", None)
    reference.network.load_state_dict(state)
    expected = reference.features(images)
    trunk = {name: value for name, value in state.items() if not name.startswith("classifier")}
    other_head = trunk | {"classifier.1.weight": torch.rand(5, 512, 1, 1), "classifier.1.bias": torch.rand(5)}
    for content in (trunk, other_head):
        torch.save(content, tmp_path / "weights.pth")
        torch.testing.assert_close(
            load_backbone("squeezenet1_1", tmp_path / "weights.pth").features(images), expected
        )
        one, other = (load_backbone("squeezenet1_1", tmp_path / "weights.pth") for _ in range(2))
        assert weights_hash(one.network) == weights_hash(
            other.network
        )  # or its features would be taken for others
    torch.save(trunk | {"extra": torch.rand(1)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="'extra'"):
        load_backbone("squeezenet1_1", tmp_path / "weights.pth")
    del trunk["features.0.weight"]
    torch.save(trunk, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"'features\.0\.weight'"):
        load_backbone("squeezenet1_1", tmp_path / "weights.pth")


def test_sample_pictures_open_by_name_and_other_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="variant='rooms'"):
        DataSource("sample:rooms").open(tmp_path)
    assert detect_layout(tmp_path) == "folders"
