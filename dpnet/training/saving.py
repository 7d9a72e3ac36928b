"""Keep a trained model in a folder, with all that is needed to use it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from dpnet.data.sources import BackboneSource, DataSource
from dpnet.model.part_layer import GlobalClassifier, Model, PartClassifier, model_arguments
from dpnet.model.regions import RegionScheme
from dpnet.training.checkpoint import one_line
from opticam.data.files import save_tensors, write_text
from opticam.networks import is_users_function

WEIGHTS_NAME, CARD_NAME = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelCard:
    """What a model was trained on and how; ``results`` holds what was measured then.

    ``settings`` of a run has, by name, `TrainingSettings`, recipe, the features' manifest, and hashes of labels and of
    the test pictures.
    """

    backbone: BackboneSource
    data: DataSource
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    results: dict[str, Any]
    feature_dtype: str = "bfloat16"

    def with_run(self, settings: dict[str, Any], results: dict[str, Any]) -> ModelCard:
        """The card of one run on the same data."""
        return replace(self, settings=settings, results=results)


def save_model(folder: str | Path, model: Model, card: ModelCard) -> Path:
    """Write weights and card into a folder, making it; returns the folder."""
    folder = Path(folder)
    save_tensors(folder / WEIGHTS_NAME, model.state_dict())
    text = json.dumps({"model": model_arguments(model), "card": asdict(card)}, indent=2)
    write_text(folder / CARD_NAME, text + "\n")
    return folder


def load_model(folder: str | Path, own_backbone: str | None = None) -> tuple[Model, ModelCard]:
    """The model in a folder, in evaluation mode, and its card.

    A card may name a function, "package.module:function", as the backbone: opening it would run code that a file
    chose. ``own_backbone`` is that name, said by the user. Raises FileNotFoundError when the folder holds no model,
    ValueError when its files cannot be read, or name a function that is not ``own_backbone``.
    """
    folder = Path(folder)
    content = _content(folder)
    card = _card_in(content, folder)
    named = card.backbone.name
    if is_users_function(named) and named != own_backbone:
        raise ValueError(
            f"model: {folder} runs the function {named}; if it is yours, give --backbone {named}"
        )
    with _readable(folder):
        model = _build(content["model"])
        tensors = safetensors.torch.load_file(folder / WEIGHTS_NAME)
        if isinstance(model, PartClassifier) and "mean_bag" in tensors:  # older models have none
            model.mean_bag = torch.empty(len(model.parts))
        model.load_state_dict(tensors)
    return model.eval(), card


def read_card(folder: str | Path) -> ModelCard:
    """The card of the model in a folder, which runs nothing; errors as in `load_model`."""
    folder = Path(folder)
    return _card_in(_content(folder), folder)


def _card_in(content: dict[str, Any], folder: Path) -> ModelCard:
    with _readable(folder):
        return _card(content["card"])


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """What goes wrong inside is a file of the folder that cannot be read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"model: {folder} cannot be read: {one_line(error)}") from None


def _content(folder: Path) -> dict[str, Any]:
    """What the card's file says, where both files of a model are there."""
    for name in (WEIGHTS_NAME, CARD_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"model: there is no {folder / name}; `python -m dpnet train` writes it")
    with _readable(folder):
        content: dict[str, Any] = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    return content


def _build(arguments: dict[str, Any]) -> Model:
    """An empty model of `model_arguments`."""
    arguments = dict(arguments)
    if arguments.pop("kind") == "global":
        return GlobalClassifier(**arguments)
    scheme = arguments.pop("scheme")
    return PartClassifier(
        **arguments, scheme=RegionScheme(scheme["name"], tuple(scheme["sizes"]), scheme["x_norm"])
    )


def _card(content: dict[str, Any]) -> ModelCard:
    backbone: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in content["backbone"].items()
    }
    values = {field.name: content[field.name] for field in fields(ModelCard)}
    values |= {"backbone": BackboneSource(**backbone), "data": DataSource(**content["data"])}
    values["class_names"] = tuple(content["class_names"])
    return ModelCard(**values)
