"""The Opti-CAM iteration recorded once as a CUDA graph and replayed, for batches up to a fixed size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from opticam.acceleration.prepared_network import fingerprint
from opticam.classifier import Classifier
from opticam.saliency.optimisation.ascent import Ascent
from opticam.saliency.targets import ClassScore

WARM_UP = 3
"""Steps before the recording, in which libraries choose and load what they will run."""


class CapturedAscent(Ascent):
    """An `Ascent` on its own copies of the tensors, restarted for each batch; smaller batches are padded.

    The first batch sets the size. The last image fills the rest of a smaller one, which changes nothing for
    the others. capture=False runs the same steps without a graph, on any device.
    Raises whatever a step raises that cannot be recorded, as where the network makes the host wait for the GPU.
    """

    score: ClassScore

    def __init__(
        self,
        classifier: Classifier,
        features: torch.Tensor,
        images: torch.Tensor,
        score: ClassScore,
        *,
        capture: bool = True,
        **options: Any,
    ) -> None:
        own_score = replace(score, ids=score.ids.clone())
        super().__init__(classifier, features.clone(), images.clone(), own_score, **options)
        self._run: Callable[[], None] = self._capture().replay if capture else super().step
        self._recorded = self._settings(score, options)

    def step(self) -> None:
        """One update of u by replaying the graph."""
        self._run()

    def fits(self, features: torch.Tensor, images: torch.Tensor, score: ClassScore, **options: Any) -> bool:
        """Whether the recorded step can run this batch: shapes, dtypes, and score, options and network as they were."""
        same = all(
            new.shape[1:] == own.shape[1:] and new.dtype == own.dtype and new.device == own.device
            for new, own in ((features, self.features), (images, self.images))
        )
        return same and len(images) <= len(self.images) and self._recorded == self._settings(score, options)

    @torch.no_grad()
    def restart(self, features: torch.Tensor, images: torch.Tensor, ids: torch.Tensor) -> None:
        """Take a new batch and begin again at u = 0."""
        padded = torch.arange(len(self.images), device=images.device).clamp(max=len(images) - 1)
        for own, new in ((self.features, features), (self.images, images), (self.score.ids, ids)):
            own.copy_(new[padded])
        optimizer = (self.logits_u, self.optimizer.iteration, *self.optimizer.moments)
        for tensor in (self.values, self.steps, *optimizer):
            tensor.zero_()
        self.running.fill_(True)
        self.read_image()

    def _capture(self) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(self.images.device):  # what other devices do is not recorded
            graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(side):  # a recording that fails leaves its stream the current one
                    for _ in range(WARM_UP):
                        super().step()
                    with refusing_to_wait():
                        super().step()
                    with torch.cuda.graph(graph, stream=side):
                        super().step()
            finally:
                torch.cuda.synchronize()  # after a failure the tensors go, and other streams may get their memory
        return graph

    def _settings(self, score: ClassScore, options: dict[str, Any]) -> tuple[object, ...]:
        with self.classifier.running(self.images) as prepared:
            network = fingerprint(prepared.network, values=False)
        return score.selector, score.probabilities, options, network


@contextmanager
def refusing_to_wait() -> Iterator[None]:
    """Inside, PyTorch raises RuntimeError where the host would wait for the GPU, as in `.item()`.

    What waits cannot be recorded, and a recording that fails can leave PyTorch's memory and random numbers unusable.
    """
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says once that it does not notice everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)
