"""Networks as a reader knows them."""

from __future__ import annotations

NAMES = {
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
    "vit_b_16": "ViT-B",
    "deit_b_16": "DeiT-B",
    "vit_base_patch16_224.orig_in21k_ft_in1k": "ViT-B (timm, orig_in21k_ft_in1k)",
    "deit_base_patch16_224.fb_in1k": "DeiT-B (timm, fb_in1k)",
    "sample_resnet": "sample ResNet",
    "sample_vgg": "sample VGG",
    "sample_vit": "sample ViT",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "squeezenet1_1": "SqueezeNet 1.1",
    "mobilenet_v2": "MobileNetV2",
}


def network_name(name: str) -> str:
    """The printed name of a network; a variant in brackets stays behind it, an unknown name is as it is."""
    base, bracket, variant = name.partition(" [")
    return NAMES.get(base, base) + bracket + variant


def stands_beside(own: str, published: str) -> str:
    """A measured network and the published one that it stands beside, in words."""
    if not own or own == published:
        return network_name(published)
    return f"{network_name(own)} (stands beside {network_name(published)})"
