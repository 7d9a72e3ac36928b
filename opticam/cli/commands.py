"""What the commands explain and info do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from matplotlib.backend_bases import FigureCanvasBase

from opticam.classifier import Classifier
from opticam.cli.options import pixel_options
from opticam.data.photo import open_photo, read_photo
from opticam.masking import backend_report
from opticam.metrics import target_probability
from opticam.networks import class_names, input_size
from opticam.plotting import explanation_figure, without_formulas, write_figure
from opticam.saliency import METHODS


def explain(options: argparse.Namespace) -> None:
    """Write the explanation of one photograph and print the class and its probabilities."""
    _check_output(options.output)
    open_photo(options.photo, options.resize)  # before the network is built, or downloaded
    names, method_options = _class_names(options), _method_options(options)
    classifier = _classifier(options).to(options.device)
    size = input_size(options.network, classifier.network) if options.size is None else options.size
    photo = read_photo(options.photo, size, options.resize)
    images = photo[None].to(options.device)
    logits = _logits(classifier, images)
    if names is not None and len(names) != len(logits):
        raise ValueError(
            f"class-names: expected {len(logits)} lines, one per output of the network, got {len(names)}"
        )
    target = _class_id(options.class_, logits, names)
    maps = METHODS[options.method](classifier, **method_options)(images, target)
    targets = torch.tensor([target], device=images.device)
    probability = float(target_probability(classifier, images, targets))
    masked = float(target_probability(classifier, images * maps[:, None], targets))
    label = names[target] if names else f"class {target}"
    figure = explanation_figure(photo, maps[0].cpu(), f"{options.method}: {label}, p = {probability:.3f}")
    write_figure(without_formulas(figure), options.output, dpi=150)
    print(f"class               {target} ({label})")
    print(f"probability         {probability:.4f}")
    print(f"masked probability  {masked:.4f}")
    print(f"written             {options.output}")


def info(options: argparse.Namespace) -> None:
    """Print versions and which masking backend runs on which device."""
    for line in backend_report():
        print(line)


def _check_output(output: Path) -> None:
    if output.is_dir() or not output.parent.is_dir():
        raise FileNotFoundError(f"output: {output} cannot be written: name a file in an existing folder")
    kinds = FigureCanvasBase.get_supported_filetypes()
    if output.suffix[1:].lower() not in kinds:
        raise ValueError(
            f"output: {output} has no suffix of a picture; accepted: .{', .'.join(sorted(kinds))}"
        )


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
    try:
        text: str = options.class_names.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"class-names: {options.class_names} is not in UTF-8 ({error})") from None
    return text.rstrip().splitlines()


@torch.no_grad()
def _logits(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Logits [C] of the one image."""
    try:
        logits: torch.Tensor = classifier(images)[0]
    except (AssertionError, RuntimeError) as error:  # what networks of one size raise for another
        name, side = type(classifier.network).__name__, images.shape[-1]
        reason = str(error).split("\n")[0]
        raise ValueError(f"size: {name} takes no picture of {side} x {side} pixels here: {reason}") from None
    return logits


def _class_id(text: str, logits: torch.Tensor, names: list[str] | None) -> int:
    if text == "predicted":
        return int(logits.argmax())
    if text.isdecimal() and int(text) < len(logits):
        return int(text)
    matches = [i for i, name in enumerate(names or []) if name.lower() == text.lower()]
    if len(matches) > 1:
        ids = " and ".join(map(str, matches))
        raise ValueError(f"class: {text!r} names {len(matches)} classes of this network; give the id: {ids}")
    if not matches:
        raise ValueError(
            f"class: {text!r} is no class of this network; accepted: an id below {len(logits)}, "
            "'predicted'" + (", or a class name such as " + repr(names[0]) if names else "")
        )
    return matches[0]


def _method_options(options: argparse.Namespace) -> dict[str, Any]:
    if options.iterations is None:
        return {}
    if options.method != "Opti-CAM":
        raise ValueError(f"iterations: {options.method} has none; it is an option of Opti-CAM")
    return {"iterations": options.iterations}
