"""What the commands explain and info do."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from opticam.classifier import Classifier
from opticam.cli.options import pixel_options
from opticam.data.photo import read_photo
from opticam.masking import backend_report
from opticam.metrics import target_probability
from opticam.networks import class_names
from opticam.plotting import explanation_figure, without_formulas
from opticam.saliency import METHODS


def explain(options: argparse.Namespace) -> None:
    """Write the explanation of one photograph and print the class and its probabilities."""
    if options.output.is_dir() or not options.output.parent.is_dir():
        raise FileNotFoundError(
            f"output: {options.output} cannot be written: name a file in an existing folder"
        )
    photo = read_photo(options.photo, options.size, options.resize)
    classifier = _classifier(options).to(options.device)
    names = _class_names(options)
    images = photo[None].to(options.device)
    target = _class_id(options.class_, classifier, images, names)
    method = METHODS[options.method](classifier, **_method_options(options))
    maps = method(images, target)
    targets = torch.tensor([target], device=images.device)
    probability = float(target_probability(classifier, images, targets))
    masked = float(target_probability(classifier, images * maps[:, None], targets))
    label = names[target] if names else f"class {target}"
    figure = explanation_figure(photo, maps[0].cpu(), f"{options.method}: {label}, p = {probability:.3f}")
    without_formulas(figure).savefig(options.output, dpi=150)
    print(f"class               {target} ({label})")
    print(f"probability         {probability:.4f}")
    print(f"masked probability  {masked:.4f}")
    print(f"written             {options.output}")


def info(options: argparse.Namespace) -> None:
    """Print versions and which masking backend runs on which device."""
    for line in backend_report():
        print(line)


def _classifier(options: argparse.Namespace) -> Classifier:
    return Classifier.from_name(
        options.network,
        options.weights,
        num_classes=options.num_classes,
        target_layer=options.layer,
        optimize=options.optimize,
        probability=options.probability,
        **pixel_options(options),
    )


def _class_names(options: argparse.Namespace) -> list[str] | None:
    if options.class_names is None:
        return class_names(options.network) if options.num_classes is None else None
    if not options.class_names.is_file():
        raise FileNotFoundError(f"class-names: there is no file {options.class_names}")
    names: list[str] = options.class_names.read_text().splitlines()
    return names


def _class_id(text: str, classifier: Classifier, images: torch.Tensor, names: list[str] | None) -> int:
    with torch.no_grad():
        logits = classifier(images)
    if text == "predicted":
        return int(logits.argmax())
    if text.isdigit() and int(text) < logits.shape[1]:
        return int(text)
    matches = [i for i, name in enumerate(names or []) if name.lower() == text.lower()]
    if len(matches) != 1:
        raise ValueError(
            f"class: {text!r} is no class of this network; accepted: an id below {logits.shape[1]}, "
            "'predicted'" + (", or a class name such as " + repr(names[0]) if names else "")
        )
    return matches[0]


def _method_options(options: argparse.Namespace) -> dict[str, Any]:
    if options.iterations is None:
        return {}
    if options.method != "Opti-CAM":
        raise ValueError(f"iterations: {options.method} has none; it is an option of Opti-CAM")
    return {"iterations": options.iterations}
