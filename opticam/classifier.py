"""A frozen network with its pixel normalisation and its target layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opticam.acceleration.prepared_network import LEVELS, PreparedNetwork, fingerprint, prepare
from opticam.hooks import only_output, recording, replacing
from opticam.layers import find_layer, layer_name
from opticam.networks import IMAGENET_MEAN, IMAGENET_STD, as_statistics, build_network, pixel_statistics
from opticam.outputs import as_maps, check_network, frozen, gradient_of, lock_of, logits_of, uncompiled
from opticam.probability import Probability, probability_of
from opticam.vit.tokens import laid_out


class Classifier(nn.Module):
    """An image classifier to explain: images [B,3,H,W] in [0,1] -> logits [B,C] and feature maps [B,K,h,w].

    The network's mean and standard deviation are applied inside, after any mask on the pixels: Opti-CAM's section 5.2
    and App. H say that inputs are normalised, the authors' code says in which order. While in use the network is in
    eval mode and its parameters need no gradient; afterwards, also after an exception, it is as it was.

    network: module from normalised images to logits.
    target_layer: module, dotted name ("layer4.2", "features[42]") or None for the papers' layer of the family.
    mean, std: per channel, of pixels in [0,1]; one number serves all channels.
    reshape: function from the target layer's output to [B,K,h,w]; None handles maps and token sequences.
    pixel_range: what images may hold; None for any finite numbers, where pixels come normalised already.
    optimize: what runs in place of the network. "exact": the network itself. "fast", on a CPU: a copy with batch norms
        folded into convolutions where its code can be traced, and channels_last memory. "half": that copy under
        autocast to bfloat16. The copy is made at first use and compared with the network on the first two of those
        images, where "fast" may move no logit by more than 1e-4 of the largest; other images are not compared. It
        is made again when the network's modules, parameters, buffers or hooks change (after other changes, such as
        weights that change places within a row through `.data`, make a new Classifier); where it disagrees, or the
        network has hooks, the network itself runs. `in_effect` tells which, and why.
    probability: "softmax", "sigmoid" for networks whose classes do not exclude each other, or a function from logits
        [B,C] to probabilities [B,C]; what the metrics, LIME and Opti-CAM's selectors of probabilities read.
    call: which run of the target layer is meant where it runs several times in one pass: 0 for the first, -1 for the
        last; None refuses such layers.
    Raises ValueError or TypeError, naming the argument.
    """

    mean: torch.Tensor
    std: torch.Tensor

    @torch.inference_mode(False)  # its buffers serve in passes that are differentiated
    def __init__(
        self,
        network: nn.Module,
        target_layer: nn.Module | str | None = None,
        *,
        mean: float | Sequence[float] = IMAGENET_MEAN,
        std: float | Sequence[float] = IMAGENET_STD,
        reshape: Callable[[torch.Tensor], torch.Tensor] | None = None,
        pixel_range: tuple[float, float] | None = (0.0, 1.0),
        optimize: str = "fast",
        probability: str | Probability = "softmax",
        call: int | None = None,
    ) -> None:
        super().__init__()
        check_network(network)
        if optimize not in LEVELS:
            raise ValueError(f"optimize: expected one of {', '.join(LEVELS)}, got {optimize!r}")
        if not isinstance(call, int | None):
            raise TypeError(f"call: expected the number of a run or None, got {call!r}")
        self._target_layer = [find_layer(network, target_layer)]  # in a list, so it is registered only once
        self.network = network = uncompiled(network)
        self.reshape = reshape
        self.pixel_range = pixel_range
        self.optimize = optimize
        self.probabilities = probability_of(probability)
        self.call = call
        self.num_classes: int | None = None  # known after the first forward pass of the network as it is
        self._shapes: list[torch.Size] = []  # of the parameters when that was
        self._frozen = False
        self._running: PreparedNetwork | None = None
        self._prepared: PreparedNetwork | None = None
        self._state: tuple[object, ...] = ()  # of the network when it was prepared
        self._read = {layer_name(network, self.target_layer)}  # layers whose output is read
        device = next(network.parameters(), torch.zeros(())).device
        for name, values in as_statistics(mean, std, self.dtype).items():
            self.register_buffer(name, values.to(device))

    @classmethod
    def from_name(
        cls,
        name: str,
        weights: str | Path | None = "default",
        *,
        num_classes: int | None = None,
        target_layer: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        optimize: str = "fast",
        probability: str | Probability = "softmax",
    ) -> Classifier:
        """A torchvision or timm classifier by name, such as "resnet50", "vgg16_bn", "vit_b_16".

        weights: a file, "default" for the library's own (downloaded by it), the name of one of torchvision's
            ("IMAGENET1K_V1"), or None for random ones.
        mean, std: None takes what the library states for its weights.
        """
        network = build_network(name, weights, num_classes)
        mean, std = pixel_statistics(name, mean, std)
        return cls(network, target_layer, mean=mean, std=std, optimize=optimize, probability=probability)

    def exact(self) -> Classifier:
        """A classifier of the same network, layer and pixels that always runs the network itself."""
        return self._of(self.network, "exact")

    @torch.inference_mode(False)  # as the copy's parameters are
    def in_float64(self) -> Classifier:
        """A classifier of a float64 copy of the network, with the same layer and pixels, "fast" unless "exact"."""
        level = "exact" if self.optimize == "exact" else "fast"
        return self._of(copy.deepcopy(self.network).double(), level)

    def _of(self, network: nn.Module, optimize: str) -> Classifier:
        """This classifier with the network, or a copy of it, at a level of speed."""
        statistics: dict[str, Any] = {
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
        }
        options: dict[str, Any] = {"reshape": self.reshape, "pixel_range": self.pixel_range}
        options |= {"optimize": optimize, "probability": self.probabilities, "call": self.call}
        layer = layer_name(self.network, self.target_layer)
        return Classifier(network, network.get_submodule(layer), **statistics, **options)

    @property
    def target_layer(self) -> nn.Module:
        """The module of `network` whose output is the feature map A (Opti-CAM, section 3)."""
        return self._target_layer[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's parameters: what its pixels are cast to, after any mask and normalisation."""
        found = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        return next(found, torch.float32)

    @property
    def in_effect(self) -> PreparedNetwork:
        """What ran last: its `level`, the `reason` where that is not `optimize`, the logits' `difference`."""
        return self._prepared or PreparedNetwork(self.network)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B,C], at least float32, of images [B,3,H,W] in [0,1]; differentiable in the images.

        Images may be of another floating dtype than the network.
        """
        with self.running(images) as network:
            logits = network(self._normalised(images))
        logits = logits_of(logits)
        if logits.dim() != 2 or not logits.shape[1]:
            raise ValueError(f"network: expected logits [B,C], got an output of shape {tuple(logits.shape)}")
        self.num_classes = logits.shape[1]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps A [B,K,h,w] of the target layer, detached."""
        return self.features_and_logits(images)[0]

    @torch.no_grad()
    def features_and_logits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps A [B,K,h,w] and logits [B,C] of one forward pass, detached."""
        (features,), logits = self.features_of(images, [self.target_layer])
        return features, logits

    @torch.no_grad()
    def features_of(
        self, images: torch.Tensor, layers: Sequence[nn.Module | str]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Feature maps [B,K,h,w] of several layers and logits [B,C] of one forward pass, detached."""
        with self.running(images, layers), recording([self.own_layer(layer) for layer in layers]) as records:
            logits = self(images)
        return [self._as_map(only_output(record, self.call), images) for record in records], logits

    @torch.inference_mode(False)
    @torch.enable_grad()
    def gradients(
        self, images: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Feature maps A, gradients dy/dA (both [B,K,h,w]) and logits [B,C], detached.

        score: from logits [B,C] to one number y per image [B]. Only the layers behind the target layer are
        differentiated, and no parameter is.
        """
        with self.running(images):
            layer = self.own_layer(self.target_layer)
            run = self._run_number(layer, images)
            with recording([layer], True, run) as (record,):
                logits = self(images)
        output = only_output(record, run)
        gradient = self._as_map(gradient_of(score(logits).sum(), output), images)
        return self._as_map(output, images).detach(), gradient, logits.detach()

    @torch.no_grad()
    def logits_with(self, images: torch.Tensor, edit: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Logits where the target layer's output is replaced by `edit` of it; `edit` may enlarge the batch."""
        with self.running(images):
            layer = self.own_layer(self.target_layer)
            with replacing(layer, edit, self._run_number(layer, images)):
                logits: torch.Tensor = self(images)
                return logits

    def _run_number(self, layer: nn.Module, images: torch.Tensor) -> int | None:
        """Which run of the layer is meant, counted from the first; a pass tells how many there are, if need be."""
        if self.call is None or self.call >= 0:
            return self.call
        with torch.no_grad(), recording([layer]) as (record,):
            self(images[:1])
        only_output(record, self.call)  # refuses a run that is not made
        return len(record) + self.call

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Eval mode and no parameter gradients inside; the network's own state again outside."""
        with lock_of(self.network):  # hooks and modes are the network's: one thread at a time
            if self._frozen:
                yield
            else:
                with self._freezing():
                    yield

    @contextmanager
    def _freezing(self) -> Iterator[None]:
        shapes = [parameter.shape for parameter in self.network.parameters()]
        if shapes != self._shapes:  # as after a new last layer
            self._shapes, self.num_classes = shapes, None
        self._frozen = True
        try:
            with frozen(self.network):
                yield
        finally:
            self._frozen, self._running = False, None

    @contextmanager
    def running(
        self, images: torch.Tensor, layers: Sequence[nn.Module | str] = ()
    ) -> Iterator[PreparedNetwork]:
        """What runs in place of the network, frozen; made ready for `images` where it is not yet.

        layers: further layers whose output is to be read. Until the outermost `running` or `frozen` ends, the
        choice stays as it is, unless a layer is to be read that it was not made for.
        """
        with self.frozen():
            read = self._read | {layer_name(self.network, layer) for layer in layers}
            if self._running is None or read != self._read:
                self._running = self._prepare(images, read)
            yield self._running

    def own_layer(self, layer: nn.Module | str) -> nn.Module:
        """The module that stands for a layer of `network` in what is running; for use inside `running`."""
        if self._running is None:
            raise RuntimeError("own_layer: use it inside `with classifier.running(images)`")
        return self._running.network.get_submodule(layer_name(self.network, layer))

    @torch.inference_mode(False)  # gradients go through the copy later, whatever state the first call is in
    def _prepare(self, images: torch.Tensor, read: set[str]) -> PreparedNetwork:
        if self.optimize == "exact" or not len(images):
            return PreparedNetwork(self.network)
        if self._prepared is None or self._state != self._fingerprint() or read != self._read:
            probe = (
                images[:2] if len(images) > 1 else images.repeat(2, 1, 1, 1)
            )  # one alone can hide a layout
            self._prepared = prepare(self.network, self.optimize, self._normalised(probe), read)
            self._state, self._read = self._fingerprint(), read
        return self._prepared

    def __getstate__(self) -> dict[str, Any]:
        """Without the faster copy, which is made anew."""
        return {**self.__dict__, "_prepared": None, "_running": None, "_frozen": False, "_state": ()}

    def _fingerprint(self) -> tuple[object, ...]:
        copied = self.in_effect.network is not self.network  # else what runs is as the network is
        return fingerprint(self.network, values=copied)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        if self.mean.shape[1] not in (1, images.shape[1]):  # one value serves all channels
            raise ValueError(
                f"mean: has {self.mean.shape[1]} values, but the images have {images.shape[1]} channels; give "
                "Classifier mean and std of as many values"
            )
        return ((images - self.mean) / self.std).to(self.dtype)

    def _as_map(self, output: Any, images: torch.Tensor) -> torch.Tensor:
        """Feature maps [B,K,h,w] from the output of a layer, at least float32."""
        if self.reshape is not None:
            output = self.reshape(output)
        else:
            output = laid_out(output, self.network, (images.shape[-2], images.shape[-1]))
        maps = as_maps(output, len(images))
        return maps.to(torch.promote_types(maps.dtype, torch.float32))
