"""The Opti-CAM iteration recorded once as a CUDA graph and replayed, for batches up to a fixed size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from opticam.classifier import Classifier
from opticam.saliency.optimisation.ascent import Ascent
from opticam.saliency.targets import ClassScore

WARM_UP = 3
"""Steps before the recording, in which libraries choose and load what they will run."""


class CapturedAscent(Ascent):
    """An `Ascent` on its own copies of the tensors, restarted for each batch; smaller batches are padded.

    The first batch sets the size. The last image fills the rest of a smaller one, which changes nothing for
    the others. capture=False runs the same steps without a graph, on any device.
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
        self._addresses = self._parameter_addresses()
        self._run: Callable[[], None] = super().step
        if capture:
            self._graph = self._capture()
            self._run = self._graph.replay

    def step(self) -> None:
        """One update of u by replaying the graph."""
        self._run()

    def fits(self, features: torch.Tensor, images: torch.Tensor) -> bool:
        """Whether the recorded step can run this batch: shapes, dtypes, and the network's tensors."""
        same = all(
            new.shape[1:] == own.shape[1:] and new.dtype == own.dtype and new.device == own.device
            for new, own in ((features, self.features), (images, self.images))
        )
        return same and len(images) <= len(self.images) and self._addresses == self._parameter_addresses()

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
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                super().step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            super().step()
        return graph

    def _parameter_addresses(self) -> tuple[int, ...]:
        with self.classifier.running(self.images) as prepared:
            return tuple(parameter.data_ptr() for parameter in prepared.network.parameters())
