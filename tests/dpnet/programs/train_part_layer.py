"""Train a small part layer and save its weights; run under torchrun, or with a step at which to be killed."""

import os
import signal
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from dpnet.model.part_layer import PartClassifier
from dpnet.training.loop import train
from dpnet.training.settings import ConstraintWeights, TrainingSettings


class MortalFeatures:
    """Features whose reader kills its own process at one read, as kill -9 would."""

    def __init__(self, maps, last_read):
        self.maps, self.reads_left = maps, last_read

    def __len__(self):
        return len(self.maps)

    def __getitem__(self, indices):
        self.reads_left -= 1
        if self.reads_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.maps[indices]


def main(output, checkpoint, last_read, batch_size):
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(41, 13, 3, 5, generator=generator)
    labels = torch.arange(41) % 3
    torch.manual_seed(0)
    model = PartClassifier(13, 3, parts_per_class=3)
    constraints = ConstraintWeights(orthogonality=1.0, assignment=0.5, class_specificity=1.0)
    # 41 images in batches of 10: the last batch holds one image, so one of two processes gets none; of 1: every batch.
    options = {"learning_rate_parts": 1e-2, "precision": "float64"}  # steps amplify rounding
    settings = TrainingSettings(epochs=6, batch_size=batch_size, constraints=constraints, **options)
    record = train(model, MortalFeatures(maps, last_read), labels, settings, checkpoint=checkpoint or None)
    if not dist.is_initialized() or dist.get_rank() == 0:
        terms = ("cross_entropy", "orthogonality", "assignment", "class_specificity")
        losses = torch.tensor([[entry[term] for term in terms] for entry in record.history])
        torch.save({**model.state_dict(), "losses": losses}, output)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
