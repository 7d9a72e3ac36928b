"""Train Global for two epochs on the cache of a folder under a bound; print its bytes and the growth of the peak.

Arguments: folder, bytes. The peak is that of resident memory after a first batch has loaded all code.
"""

import sys

import torch

from dpnet import GlobalClassifier, TrainingSettings, train
from dpnet.data.features import FeatureCache


def peak() -> int:
    """The most memory that was resident, in bytes."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main(folder: str, memory: str) -> None:
    torch.set_num_threads(1)
    features = FeatureCache(folder, memory=int(memory))
    settings = TrainingSettings(epochs=2, batch_size=32)
    few = torch.arange(32)
    model = GlobalClassifier(features.shape[1], 3)
    train(model, features[few], features.labels[few], settings)
    before = peak()
    train(model, features, features.labels, settings)
    print(len(features) * features[few[:1]].nbytes, peak() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
