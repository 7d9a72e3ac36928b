"""Which networks have the head that Transformer Attribution starts from."""

import pytest
import torchvision
from torch import nn

from opticam import Classifier, TransformerAttribution
from opticam.vit.blocks import class_head


def test_anything_but_one_layer_from_the_class_token_to_the_logits_is_no_head():
    network = torchvision.models.VisionTransformer(32, 8, 1, 2, 8, 12, num_classes=4, representation_size=6)
    with pytest.raises(ValueError, match="are not one linear layer on its class token"):
        class_head(network)
    assert not TransformerAttribution.applies_to(Classifier(network))
    network.heads = nn.Identity()
    with pytest.raises(ValueError, match="are not one linear layer on its class token"):
        class_head(network)
    network.heads = nn.Sequential(nn.Linear(8, 4))
    assert class_head(network) is network.heads[0]
