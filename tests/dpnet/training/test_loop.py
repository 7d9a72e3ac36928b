import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dpnet.model.evaluation import accuracy, interpretability, predict
from dpnet.model.part_layer import GlobalClassifier, PartClassifier
from dpnet.model.regions import RegionScheme
from dpnet.training.diagnostics import early_diagnostics
from dpnet.training.loop import build_optimiser, train, train_epoch
from dpnet.training.losses import batch_loss
from dpnet.training.runs import train_runs
from dpnet.training.settings import ConstraintWeights, TrainingSettings

QUICK = {"epochs": 15, "batch_size": 16, "learning_rate_parts": 3e-2, "learning_rate_classifier": 3e-2}


def planted_parts(num_images=150, classes=3, dim=16, seed=0):
    """Noise maps; 5 of 35 cells hold the class's direction, the others hide it from the average."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_images) % classes
    cells = torch.rand(num_images, 35, generator=generator).argsort(dim=1) < 5
    strength = torch.where(cells, 6.0, -1.0)[:, None, :] * torch.eye(dim)[labels][:, :, None]
    noise = torch.randn(num_images, dim, 35, generator=generator)
    return (strength + noise).unflatten(2, (5, 7)), labels


def build_parts(classes=3, dim=16):
    torch.manual_seed(0)
    return PartClassifier(dim, classes, parts_per_class=4)


def test_parts_find_what_the_average_hides():
    features, labels = planted_parts()
    test = planted_parts(seed=1)
    settings = TrainingSettings(**QUICK)
    parts, baseline = build_parts(), GlobalClassifier(16, 3)
    record = train(parts, features, labels, settings)
    train(baseline, features, labels, settings)
    assert accuracy(parts, *test) > 0.9 > accuracy(baseline, *test) + 0.4
    assert record.history[-1]["cross_entropy"] < 0.5 * record.history[0]["cross_entropy"]
    assert len(record.history) == 15 and record.problems == []
    assert record.seconds == pytest.approx(sum(entry["seconds"] for entry in record.history))


def test_the_baseline_reaches_the_optimum_of_logistic_regression():
    torch.manual_seed(0)
    features, labels = planted_parts(num_images=120)
    model = GlobalClassifier(16, 3)
    train(model, features, labels, TrainingSettings(epochs=400, learning_rate_classifier=0.3, batch_size=120))
    pooled = torch.nn.functional.normalize(features.mean(dim=(2, 3))).numpy().astype(np.float64)
    peer = LogisticRegression(C=1e6, max_iter=5000).fit(pooled, labels.numpy())
    ours = torch.nn.functional.cross_entropy(predict(model, features), labels).item()
    theirs = -np.log(peer.predict_proba(pooled)[np.arange(120), labels.numpy()]).mean()
    assert ours < theirs * 1.02 + 1e-3


def test_both_groups_decay_their_weights_and_follow_a_cosine_from_their_own_rate():
    features, labels = planted_parts(num_images=30)
    rates = {"learning_rate_classifier": 0.02, "learning_rate_parts": 0.3}
    settings = TrainingSettings(epochs=2, batch_size=15, weight_decay=0.25, **rates)
    model = build_parts()
    optimiser, seen = build_optimiser(model, settings), []

    def forward(*given, **options):
        seen.append([group["lr"] for group in optimiser.param_groups])
        return model(*given, **options)

    for epoch in (0, 1):
        train_epoch(model, forward, optimiser, features, labels, settings, epoch)
    expected = [[share * rate for rate in rates.values()] for share in (1, (2 + 2**0.5) / 4, 0.5)]
    np.testing.assert_allclose(seen[:3], expected, rtol=1e-12)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.25, 0.25]
    sizes = [sum(parameter.numel() for parameter in group["params"]) for group in optimiser.param_groups]
    assert sizes == [3 * 12 + 3, 12 * 16]


@pytest.mark.parametrize("build", [build_parts, lambda: GlobalClassifier(16, 3)], ids=["parts", "baseline"])
def test_label_smoothing_shares_its_part_among_all_classes(build):
    features, labels = planted_parts(num_images=9)
    model = build()
    loss, _ = batch_loss(model, model, features, labels, TrainingSettings(label_smoothing=0.3), 1.0)
    wanted = 0.7 * torch.eye(3)[labels] + 0.1
    torch.testing.assert_close(loss, -(wanted * predict(model, features).log_softmax(1)).sum(1).mean())


def test_the_loss_of_an_epoch_is_the_mean_over_images_also_where_the_last_batch_is_short():
    """At rates of zero it is that of one model."""
    features, labels = planted_parts(num_images=50)
    rates = {"learning_rate_parts": 0.0, "learning_rate_classifier": 0.0}
    model = build_parts()
    record = train(model, features, labels, TrainingSettings(epochs=1, batch_size=16, **rates))
    expected = torch.nn.functional.cross_entropy(predict(model, features), labels).item()
    assert record.history[0]["cross_entropy"] == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    features, labels = planted_parts(num_images=70)

    def run(seed):
        model = build_parts()
        train(model, features, labels, TrainingSettings(epochs=2, batch_size=16, seed=seed))
        return model.parts.detach()

    assert torch.equal(run(3), run(3)) and not torch.equal(run(3), run(4))
    assert not torch.equal(run(2**63 - 1), run(2**63 - 2))  # the largest ones


@pytest.mark.parametrize(
    "name, weight, figure",
    [
        ("orthogonality", 3.0, "rms_cosine"),
        ("assignment", 1.0, "entropy"),
        ("class_specificity", 10.0, "off_class_mass"),
    ],
)
def test_each_constraint_alone_lowers_the_figure_it_is_named_after(name, weight, figure):
    features, labels = planted_parts()
    free, constrained = build_parts(), build_parts()
    train(free, features, labels, TrainingSettings(**QUICK))
    train(
        constrained,
        features,
        labels,
        TrainingSettings(**QUICK, constraints=ConstraintWeights(**{name: weight})),
    )
    before, after = (interpretability(model, features, labels) for model in (free, constrained))
    assert after[figure] < 0.9 * before[figure]
    assert accuracy(constrained, features, labels) > accuracy(free, features, labels) - 0.05


def test_bfloat16_features_train_to_about_the_same_loss():
    features, labels = planted_parts(num_images=90)
    losses = []
    for precision in ("float32", "bfloat16"):
        settings = TrainingSettings(epochs=8, learning_rate_parts=1e-2, precision=precision)
        record = train(build_parts(), features, labels, settings)
        losses.append(record.history[-1]["cross_entropy"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    features, labels = planted_parts(num_images=60)
    settings = TrainingSettings(epochs=5, batch_size=16)
    whole = build_parts()
    record = train(whole, features, labels, settings)

    class Killed(Exception):
        pass

    class DyingFeatures:
        """Features that fail in the middle of the third epoch."""

        reads = 0

        def __len__(self):
            return len(features)

        def __getitem__(self, indices):
            self.reads += 1
            if self.reads == 10:
                raise Killed
            return features[indices]

    path = tmp_path / "run" / "checkpoint.pt"
    with pytest.raises(Killed):
        train(build_parts(), DyingFeatures(), labels, settings, checkpoint=path)
    torch.manual_seed(99)
    resumed = PartClassifier(16, 3, parts_per_class=4)
    state = torch.get_rng_state()
    again = train(resumed, features, labels, settings, checkpoint=path)
    assert torch.equal(torch.get_rng_state(), state)  # training draws from generators of its own
    assert torch.equal(resumed.parts, whole.parts)
    assert torch.equal(resumed.classifier.weight, whole.classifier.weight)
    losses = [[entry["cross_entropy"] for entry in r.history] for r in (record, again)]
    assert losses[0] == losses[1]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    features, labels = planted_parts(num_images=30)
    path = tmp_path / "checkpoint.pt"
    train(build_parts(), features, labels, TrainingSettings(epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match="another epochs"):
        train(build_parts(), features, labels, TrainingSettings(epochs=2), checkpoint=path)
    others = {
        "parts_per_class": PartClassifier(16, 3, parts_per_class=5),
        "temperature": PartClassifier(16, 3, parts_per_class=4, temperature=0.2),
        "scheme": PartClassifier(16, 3, parts_per_class=4, scheme=RegionScheme("squares")),
    }
    for name, other in others.items():
        with pytest.raises(ValueError, match=f"another {name}$"):
            train(other, features, labels, TrainingSettings(epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match="another labels"):
        train(build_parts(), features, labels.flip(0), TrainingSettings(epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match="another network"):
        options = {"checkpoint": path, "origin": {"network": "vgg16"}}
        train(build_parts(), features, labels, TrainingSettings(epochs=1), **options)
    torch.save(torch.load(path, weights_only=True) | {"format": 1}, path)
    with pytest.raises(ValueError, match="has format 1; expected"):
        train(build_parts(), features, labels, TrainingSettings(epochs=1), checkpoint=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="cannot be read"):
        train(build_parts(), features, labels, TrainingSettings(epochs=1), checkpoint=path)


def test_early_diagnostics_name_a_run_that_cannot_work():
    features, labels = planted_parts(num_images=60)
    settings = TrainingSettings(epochs=3, learning_rate_classifier=50.0, diagnose_after=3)
    with pytest.warns(UserWarning, match="above chance"):
        record = train(build_parts(), features, labels, settings)
    assert len(record.problems) == 1
    assert len(early_diagnostics(GlobalClassifier(16, 3), features, [1.0, math.nan, math.nan])) == 1
    inert = PartClassifier(16, 3, parts_per_class=4, temperature=100.0)
    settings = TrainingSettings(**QUICK, constraints=ConstraintWeights(assignment=1.0))
    with pytest.warns(UserWarning, match="cannot act at temperature 100"):
        record = train(inert, features, labels, settings)
    assert len(record.problems) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(build_parts(), features, labels, TrainingSettings(epochs=3, learning_rate_classifier=3e-2))


@pytest.mark.parametrize(
    ("losses", "words"),
    [([0.5], None), ([1.0, 0.93], None), ([1.0, 1.06], "above chance"), ([1.0, 1.0], "does not fall")],
)
def test_losses_are_judged_against_chance_and_from_the_second_epoch_on_against_the_first(losses, words):
    """In units of ln 3, the loss of a guess."""
    losses = [loss * math.log(3) for loss in losses]
    problems = early_diagnostics(GlobalClassifier(16, 3), torch.zeros(1, 16, 5, 7), losses)
    assert len(problems) == bool(words) and all(words in problem for problem in problems)


def test_a_resumed_run_keeps_the_problems_that_were_seen(tmp_path):
    features, labels = planted_parts(num_images=60)
    rates = {"learning_rate_classifier": 0.0, "learning_rate_parts": 0.0}
    settings = TrainingSettings(epochs=3, **rates, diagnose_after=2)
    path = tmp_path / "checkpoint.pt"
    with pytest.warns(UserWarning, match="does not fall"):
        first = train(build_parts(), features, labels, settings, checkpoint=path)
    again = train(build_parts(), features, labels, settings, checkpoint=path)
    assert again.problems == first.problems and len(first.problems) == 1


def test_the_training_accuracy_is_that_of_the_model_as_it_is_used():
    features = torch.randn(3000, 16, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3000) % 3  # nothing to learn: many images lie near a boundary
    model = build_parts()
    record = train(model, features, labels, TrainingSettings(epochs=1, precision="bfloat16"))
    assert record.accuracy == accuracy(model, features, labels)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f, y: train(build_parts(), f, y[:-1], TrainingSettings()), "30 feature maps and 29 labels"),
        (lambda f, y: train(build_parts(), f, y.float(), TrainingSettings()), "dtype torch.float32"),
        (lambda f, y: train(build_parts(2), f, y, TrainingSettings()), "the model has 2 classes"),
        (lambda f, y: train(build_parts(), f, y - 1, TrainingSettings()), "labels"),
        (lambda f, y: TrainingSettings(precision="int8"), "precision is 'int8'"),
        (lambda f, y: TrainingSettings(epochs=0), "epochs 0"),
        (lambda f, y: TrainingSettings(label_smoothing=2), "label_smoothing is 2"),
        (lambda f, y: TrainingSettings(learning_rate_parts=float("nan")), "learning_rate_parts is nan"),
        (lambda f, y: TrainingSettings(weight_decay=-1), "weight_decay is -1"),
        (lambda f, y: TrainingSettings(seed=-1), "seed is -1"),
        (lambda f, y: TrainingSettings(seed=2**63), f"seed is {2**63}"),
        (lambda f, y: train_runs([], (1, 1), None, None, None, ""), "seeds are 1, 1"),
        (lambda f, y: train_runs([], (), None, None, None, ""), "seeds are ; expected one or more"),
        (lambda f, y: train_runs([], (0, -1), None, None, None, ""), "seed is -1"),
        (lambda f, y: ConstraintWeights(assignment=-1), "assignment is -1"),
        (lambda f, y: ConstraintWeights(assignment=float("inf")), "assignment is inf"),
        (lambda f, y: ConstraintWeights.named("sparse"), "constraint 'sparse' is unknown"),
    ],
)
def test_bad_arguments_are_named(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call(*planted_parts(num_images=30))
