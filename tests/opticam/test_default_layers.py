"""The default layer over torchvision's and timm's families: one that counts, runs once and has places."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from opticam import Classifier
from opticam.layers import layer_name

# The smallest network of each of timm's modules that has fewer than 35 million parameters, and its layer.
TIMM = {
    "test_vit": "blocks.5.norm1",
    "test_byobnet": "stages.3.0",
    "halonet_h1": "stages.3.2",
    "poolformerv2_s12": "stages.3.blocks.1",
    "cait_xxs24_224": "blocks.23.norm1",
    "coat_lite_tiny": "serial_blocks4.0",
    "test_coatnet": "stages.3.blocks.0",
    "convit_tiny": "blocks.11.norm1",
    "convmixer_768_32": "blocks.31",
    "test_convnext": "stages.3.blocks.1",
    "cpubone_nano": "head.in_conv",
    "crossvit_tiny_240": "blocks.2.blocks.1.3",
    "cs3darknet_focus_s": "stages.3.conv_transition",
    "csatv2": "stages.3.6",
    "cspnext_tiny": "stages.3.2.final_conv",
    "davit_tiny": "stages.3.blocks.0.1",
    "deit_tiny_patch16_224": "blocks.11.norm1",
    "densenet121": "features.norm5",
    "dla46x_c": "level5.root",
    "test_nfnet": "final_act",
    "dpn48b": "features.conv5_bn_ac",
    "ese_vovnet19b_slim_dw": "stages.3.blocks.0.attn",
    "test_resnet": "layer4.0",
    "edgenext_xx_small": "stages.3.blocks.1",
    "efficientformer_l1": "stages.3.blocks.4",
    "efficientformerv2_s0": "stages.3.blocks.3",
    "test_efficientnet": "bn2",
    "efficientnet_lite0": "bn2",
    "efficientvim_m1": "stages.2.blocks.1.ffn.fc2",
    "efficientvit_b0": "head.in_conv",
    "efficientvit_m0": "stages.2.blocks.2.ffn1",
    "vit_tiny_patch16_dinov3_qkvb": "blocks.11.norm1",
    "fasternet_t0": "stages.3.blocks.1",
    "fastvit_t8": "final_conv",
    "mobilenetv3_small_050": "blocks.5.0",
    "mobilenetv3_small_100": "blocks.5.0",
    "focalnet_tiny_srf": "layers.3.blocks.1",
    "gcvit_xxtiny": "stages.3",
    "ghostnet_050": "blocks.9.0",
    "gmlp_ti16_224": "blocks.29",
    "hardcorenas_b": "blocks.6.0",
    "hgnetv2_b0": "stages.3.blocks.0.aggregation.1",
    "hiera_tiny_224": "blocks.11.norm1",
    "hrnet_w18_small": "final_layer",
    "iformer_t": "stages.3.blocks.5.mixer",
    "inception_next_atto": "stages.3.blocks.1",
    "inception_v3": "Mixed_7c",
    "lcnetv2_small": "stages.3.1",
    "legacy_seresnet18": "layer4.1",
    "legacy_xception": "conv4.pointwise",
    "levit_128s": "stages.2.blocks.3",
    "lowformer_b0": "in_conv",
    "test_mambaout": "stages.3.blocks.0",
    "mobilevit_xxs": "final_conv",
    "mvitv2_tiny": "stages.3.blocks.1.mlp",
    "nest_tiny": "levels.2",
    "nextvit_small": "stages.3.blocks.2",
    "pit_ti_224": "transformers.2.blocks.2",
    "pvt_v2_b0": "stages.3",
    "rdnet_tiny": "dense_stages.6.2",
    "regnetx_002": "s4.b7",
    "repghostnet_050": "blocks.9.0",
    "repvgg_a0": "stages.3.0",
    "repvit_m1": "stages.3.blocks.1",
    "resnest14d": "layer4.0",
    "resnetv2_18": "stages.3.blocks.1",
    "rexnet_100": "features.16",
    "selecsls42": "head.3",
    "sequencer2d_s": "stages.3.blocks.2",
    "shvit_s1": "stages.2.blocks.4.ffn",
    "skresnet18": "layer4.1",
    "starnet_s050": "stages.3.1",
    "swiftformer_xs": "stages.3.blocks.3",
    "swin_tiny_patch4_window7_224": "layers.3.blocks.1",
    "swinv2_tiny_window8_256": "layers.3.blocks.1",
    "swinv2_cr_tiny_224": "stages.3",
    "test_vit_relpos": "blocks.8.norm1",
    "tiny_vit_5m_224": "stages.3",
    "tnt_s_legacy_patch16_224": "blocks.10.mlp",
    "tresnet_m": "body.layer4.2",
    "twins_svt_small": "blocks.3.3",
    "visformer_tiny": "stage3.3",
    "vit_tiny_r_s16_p8_224": "blocks.11.norm1",
    "vitamin_small_224": "blocks.13.norm1",
    "volo_d1_224": "post_network.1",
    "xception41p": "blocks.12.stack.conv3.conv_pw",
    "xcit_nano_12_p16_224": "blocks.11.norm1",
}
TORCHVISION = {
    "alexnet": "features.12",
    "convnext_tiny": "features.7",
    "efficientnet_b0": "features.8",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "maxvit_t": "blocks.3.layers.1.layers.grid_attention",
    "mnasnet0_5": "layers",
    "mobilenet_v3_small": "features.12",
    "regnet_x_400mf": "trunk_output.block4.block4-11",
    "resnext50_32x4d": "layer4.2",
    "shufflenet_v2_x0_5": "conv5",
    "squeezenet1_0": "features.12",
    "swin_t": "features.7",
    "swin_v2_t": "features.7",
    "vit_b_32": "encoder.layers.encoder_layer_11.ln_1",
}


@pytest.mark.parametrize(
    ("library", "name", "layer"),
    [
        *(("timm", name, layer) for name, layer in TIMM.items()),
        *(("torchvision", name, layer) for name, layer in TORCHVISION.items()),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_default_layer_is_the_last_map_that_the_logits_hang_on(library, name, layer):
    network = _build(library, name)
    size = 299 if library == "torchvision" and name == "inception_v3" else _size(network)
    images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    classifier = Classifier(network, mean=(0.5,) * 3, std=(0.5,) * 3, optimize="exact")
    features, gradients, logits = classifier.gradients(images, lambda logits: logits[:, 0])
    assert features.shape[2:].numel() > 1
    assert features.shape[2] == features.shape[3]  # as the picture is square
    assert gradients.abs().amax() > 0 and (features.amax((2, 3)) > features.amin((2, 3))).any()
    found = layer_name(network, classifier.target_layer)
    # Several modules may put out the same tensor: a stage and its last block.
    assert found == layer or found.startswith(layer + ".") or layer.startswith(found + "."), found
    assert logits.shape == (1, 10)


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode], ids=lambda state: state.__name__)
def test_the_default_layer_is_found_where_the_caller_has_gradients_off(state):
    # One of the families that are known by their parts would not need the forward pass.
    network = _build("timm", "tf_efficientnet_lite0")
    with state():
        found = Classifier(network, mean=(0.5,) * 3, std=(0.5,) * 3)
    expected = Classifier(network, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert layer_name(network, found.target_layer) == layer_name(network, expected.target_layer) == "bn2"


def _build(library: str, name: str) -> nn.Module:
    """With noise on every parameter: some networks start with a head or residual branches of zeros."""
    torch.manual_seed(0)
    if library == "timm":
        network = timm.create_model(name, num_classes=10)
    else:
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        network = torchvision.models.get_model(name, weights=None, num_classes=10, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network.eval()


def _size(network: nn.Module) -> int:
    return getattr(network, "pretrained_cfg", {}).get("input_size", (3, 224, 224))[1]
