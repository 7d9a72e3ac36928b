"""Command line: explain one photograph, or say what this installation can do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from opticam import METHODS, Classifier
from opticam.command_line import add_optimize_option, add_pixel_options, pixel_options
from opticam.networks import class_names
from opticam.photo import RESIZES, read_photo


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; user errors end in one line on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, FileNotFoundError, IsADirectoryError) as error:
        print(f"opticam {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def explain(options: argparse.Namespace) -> None:
    """Write the explanation of one photograph and print the class and its probabilities."""
    from opticam.metrics import target_probability  # here: SciPy and Matplotlib take seconds to load
    from opticam.plotting import explanation_figure

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
    figure.savefig(options.output, dpi=150)
    print(f"class               {target} ({label})")
    print(f"probability         {probability:.4f}")
    print(f"masked probability  {masked:.4f}")
    print(f"written             {options.output}")


def info(options: argparse.Namespace) -> None:
    """Print versions and which masking backend runs on which device."""
    from opticam.masking import backend_report

    for line in backend_report():
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m opticam", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("explain", help="explain one photograph")
    add.set_defaults(run=explain)
    add.add_argument("photo", type=Path)
    add.add_argument("--network", required=True, help="torchvision or timm name, for example resnet50")
    add.add_argument(
        "--weights", default="default", help="state dictionary; without it the library downloads its own"
    )
    add.add_argument("--class", dest="class_", default="predicted", metavar="NAME|ID|predicted")
    add.add_argument("--method", default="Opti-CAM", type=_method, help=", ".join(METHODS))
    add.add_argument("-o", "--output", type=Path, required=True, help="picture to write: .png, .pdf, ...")
    add.add_argument(
        "--layer", help="target layer, for example layer4.2; default: the papers' layer of the family"
    )
    add.add_argument("--num-classes", type=int, help="outputs of the network, if not 1000")
    add.add_argument("--class-names", type=Path, help="text file, one class name a line")
    add_optimize_option(add)
    add_pixel_options(add)
    add.add_argument("--resize", choices=RESIZES, default="crop")
    add.add_argument("--size", type=int, default=224, help="side of the network's input in pixels")
    add.add_argument("--iterations", type=int, help="optimisation steps of Opti-CAM (default 100)")
    add.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    commands.add_parser("info", help="versions and masking backends").set_defaults(run=info)
    return parser


def _method(text: str) -> str:
    for name in METHODS:
        if name.lower() == text.lower():
            return name
    raise argparse.ArgumentTypeError(f"unknown method {text!r}; accepted: {', '.join(METHODS)}")


def _classifier(options: argparse.Namespace) -> Classifier:
    return Classifier.from_name(
        options.network,
        options.weights,
        num_classes=options.num_classes,
        target_layer=options.layer,
        optimize=options.optimize,
        **pixel_options(options),
    )


def _class_names(options: argparse.Namespace) -> list[str] | None:
    if options.class_names is None:
        return class_names(options.network) if options.num_classes is None else None
    if not options.class_names.is_file():
        raise FileNotFoundError(f"class-names: there is no file {options.class_names}")
    return options.class_names.read_text().splitlines()


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


def _method_options(options: argparse.Namespace) -> dict[str, int]:
    if options.iterations is None:
        return {}
    if options.method != "Opti-CAM":
        raise ValueError(f"iterations: {options.method} has none; it is an option of Opti-CAM")
    return {"iterations": options.iterations}


if __name__ == "__main__":
    sys.exit(main())
