import pytest
import timm
import torch
from timm.layers import SwiGLUPacked
from timm.models.cait import Cait
from timm.models.eva import EvaBlockPostNorm
from timm.models.pit import PoolingVisionTransformer
from timm.models.vision_transformer import ParallelThingsBlock, ResPostBlock
from timm.models.volo import VOLO
from torch import nn

from opticam import AttentionRollout, Classifier, RawAttention, TransformerAttribution
from opticam.hooks import recording_calls
from opticam.masking import upsample_and_normalize
from opticam.saliency.methods.transformer_attribution import through_block
from opticam.vit.attention import recording_attention
from opticam.vit.blocks import transformer_blocks
from opticam.vit.relevance import balance, through_linear, through_product, through_sum

METHODS = (RawAttention, AttentionRollout, TransformerAttribution)


def randomise(network, seed=0):
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def timm_network(**options):
    options = {"img_size": (35, 45), "patch_size": 5, "embed_dim": 24, "depth": 3, "num_heads": 3} | options
    return randomise(timm.models.VisionTransformer(num_classes=7, **options))


def timm_images():
    return torch.rand(2, 3, 35, 45, generator=torch.Generator().manual_seed(1))


def attention_of_timm(network, images):
    """timm's own computation in the open, read by hooks."""
    records = []
    for block in network.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: records.append(output))
    network(images)
    return [record.detach() for record in records]


def attention_of_torchvision(network, images):
    """What nn.MultiheadAttention returns when asked for its weights."""
    records = []

    def ask(module, args, kwargs):
        records.append(
            nn.MultiheadAttention.forward(module, *args, need_weights=True, average_attn_weights=False)[1]
        )

    for block in network.encoder.layers:
        block.self_attention.register_forward_pre_hook(ask, with_kwargs=True)
    network(images)
    return [record.detach() for record in records]


def test_recorded_attention_is_timms():
    network, images = timm_network().double(), timm_images().double()
    with recording_attention(network) as records, torch.no_grad():
        logits = network(images)
    expected = attention_of_timm(network, images)
    assert [record.probabilities.shape for record in records] == [(2, 3, 64, 64)] * 3
    for record, probabilities in zip(records, expected):
        torch.testing.assert_close(record.probabilities, probabilities)
    torch.testing.assert_close(logits, network(images))


def test_recorded_attention_is_torchvisions(classify, images):
    network, images = classify("vit", torch.float64).network, images.double()
    with recording_attention(network) as records, torch.no_grad():
        logits = network(images)
    for record, probabilities in zip(records, attention_of_torchvision(network, images)):
        torch.testing.assert_close(record.probabilities, probabilities)
    torch.testing.assert_close(logits, network(images))


@pytest.mark.parametrize("failing", [False, True])
def test_recording_leaves_the_network_and_pytorch_as_they_were(failing):
    network = timm_network()
    network.blocks[1].attn.fused_attn = False
    before = [block.attn.fused_attn for block in network.blocks]
    if failing:
        with pytest.raises(ValueError, match="stop"), recording_attention(network):
            raise ValueError("stop")
    else:
        TransformerAttribution(Classifier(network))(timm_images())
    assert [block.attn.fused_attn for block in network.blocks] == before
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(module._forward_hooks for module in network.modules())


def test_raw_attention_is_the_class_tokens_row_of_the_last_block():
    network, images = timm_network().double(), timm_images().double()
    maps = RawAttention(Classifier(network, mean=(0,) * 3, std=(1,) * 3))(images)
    rows = attention_of_timm(network, images)[-1].mean(1)[:, 0, 1:]
    expected = upsample_and_normalize(rows.reshape(2, 7, 9), (35, 45))
    torch.testing.assert_close(maps, expected)


def test_rollout_is_the_product_of_the_blocks():
    network, images = timm_network().double(), timm_images().double()
    classifier = Classifier(network, mean=(0,) * 3, std=(1,) * 3)
    product = identity = torch.eye(64, dtype=torch.float64)
    for attention in attention_of_timm(network, images):
        product = (0.5 * attention.mean(1) + 0.5 * identity) @ product
    method = AttentionRollout(classifier)
    torch.testing.assert_close(method.token_relevance(images, None), product)
    expected = upsample_and_normalize(product[:, 0, 1:].reshape(2, 7, 9), (35, 45))
    torch.testing.assert_close(method(images), expected)


def test_linear_rule_by_hand():
    # Contributions x_j w_ij: output 0 gets 1 and -4, output 1 gets -3 and 2; only the positive ones share.
    inputs, weight = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 2.0], [-3.0, -1.0]])
    found = through_linear(torch.tensor([[10.0, 7.0]]), inputs, weight)
    assert found.tolist() == [[10.0, 7.0]]
    # With inputs (1, 2): output 0 gets 1 and 4, output 1 nothing positive, so its relevance ends there.
    found = through_linear(torch.tensor([[10.0, 7.0]]), inputs.abs(), weight)
    assert found.tolist() == [[2.0, 8.0]]


def test_balance_by_hand():
    left, right = balance(torch.tensor([[6.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[-1.0, 0.0]]))
    assert left.tolist() == [[2.0, 2.0]]  # |2| of |2| + |-1| shares, of 6
    assert right.tolist() == [[2.0, 0.0]]


def by_gradient(function, relevance, *inputs):
    """x times the gradient of f, weighted by R / f: the rule of eqs. (8) and (9) through autograd."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(*inputs)
    gradients = torch.autograd.grad(output, inputs, relevance / output.detach())
    return [tensor.detach() * gradient for tensor, gradient in zip(inputs, gradients)]


def test_product_and_sum_rules_equal_input_times_gradient():
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((2, 3, 4, 5), (2, 3, 5, 6))
    )
    relevance = torch.rand(2, 3, 4, 6, dtype=torch.float64, generator=generator)
    # Each factor of a product receives the whole relevance, so each is halved.
    for found, expected in zip(
        through_product(relevance, left, right), by_gradient(torch.matmul, relevance, left, right)
    ):
        torch.testing.assert_close(found, expected / 2)
    other = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    relevance = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    parts = by_gradient(torch.add, relevance, left, other)
    sums = [part.flatten(1).sum(1) for part in parts]
    for found, part, own in zip(through_sum(relevance, left, other), parts, sums):
        factor = own.abs() / (sums[0].abs() + sums[1].abs()) * relevance.flatten(1).sum(1) / own
        torch.testing.assert_close(found, part * factor[:, None, None, None])


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_relevance_is_conserved_through_every_block(classify, library):
    own = library == "timm"
    classifier = Classifier(timm_network().double()) if own else classify("vit", torch.float64)
    images = torch.rand(2, 3, 35, 45 if own else 35, dtype=torch.float64)
    blocks = transformer_blocks(classifier.network)
    read = [part for block in blocks for part in (block.module, block.norm1, block.norm2, block.fc2)]
    with (
        torch.no_grad(),
        recording_attention(classifier.network) as attention,
        recording_calls(read) as calls,
    ):
        classifier.exact()(images)
    relevance = torch.rand_like(calls[blocks[-1].module][1])
    total = relevance.sum((1, 2))
    for block, record in zip(reversed(blocks), reversed(attention)):
        relevance, of_attention = through_block(relevance, block, record, calls)
        torch.testing.assert_close(relevance.sum((1, 2)), total, rtol=1e-6, atol=1e-6)
        assert of_attention.shape == record.probabilities.shape


def test_attribution_of_two_blocks_written_out():
    """Two blocks of two heads, with their mlps: every contribution in the open, eqs. (5) to (14)."""
    network, images = timm_network(depth=2, num_heads=2, embed_dim=8).double(), timm_images().double()
    classifier = Classifier(network, mean=(0,) * 3, std=(1,) * 3)
    found = TransformerAttribution(classifier).token_relevance(images, lambda logits: logits[:, 4])

    attentions, inputs, tokens = [], [], []
    for block in network.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda m, i, o: attentions.append(o))
        block.register_forward_pre_hook(lambda m, i: inputs.append(i[0].detach()))
    network.head.register_forward_pre_hook(lambda m, i: tokens.append(i[0].detach()))
    gradients = torch.autograd.grad(network(images)[:, 4].sum(), attentions)

    relevance = torch.zeros_like(inputs[0])
    one = torch.ones(2, 1, dtype=torch.float64)
    relevance[:, 0] = linear_by_hand(one, tokens[0], network.head.weight[4:5].detach())
    matrices = [None, None]
    for place in (1, 0):
        with torch.no_grad():
            relevance, of_attention = block_by_hand(relevance, network.blocks[place], inputs[place])
        by_head = [(gradients[place][:, h] * of_attention[:, h]).clamp(min=0) for h in (0, 1)]
        matrices[place] = torch.eye(64, dtype=torch.float64) + (by_head[0] + by_head[1]) / 2
    torch.testing.assert_close(found, matrices[1] @ matrices[0], rtol=1e-6, atol=1e-9)


def linear_by_hand(relevance, inputs, weight):
    """Every contribution x_j w_ij in a table [...,m,n]; outputs without a positive one pass nothing on."""
    contributions = (inputs[..., None, :] * weight).clamp(min=0)
    shares = (contributions / contributions.sum(-1, keepdim=True)).nan_to_num()
    return (relevance[..., None] * shares).sum(-2)


def block_by_hand(relevance, block, inputs):
    """From the relevance of a timm block's output to that of its input and of its attention."""
    normed, attend, mlp = block.norm1(inputs), block.attn, block.mlp
    queries, keys, values = attend.qkv(normed).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    keys = keys.transpose(-2, -1)
    probabilities = (queries @ keys * attend.scale).softmax(-1)
    context = joined(probabilities @ values)
    middle = inputs + attend.proj(context)
    normed_middle = block.norm2(middle)
    hidden = nn.functional.gelu(mlp.fc1(normed_middle))

    of_middle, of_mlp = pair_by_gradient(torch.add, relevance, middle, mlp.fc2(hidden))
    of_hidden = linear_by_hand(of_mlp, hidden, mlp.fc2.weight)
    of_middle = of_middle + linear_by_hand(of_hidden, normed_middle, mlp.fc1.weight)
    of_inputs, of_branch = pair_by_gradient(torch.add, of_middle, inputs, middle - inputs)
    of_context = linear_by_hand(of_branch, context, attend.proj.weight)
    of_context = of_context.unflatten(2, (2, -1)).transpose(1, 2)
    of_attention, of_values = pair_by_gradient(torch.matmul, of_context, probabilities, values)
    of_queries, of_keys = pair_by_gradient(torch.matmul, of_attention, queries, keys)
    of_qkv = torch.cat([joined(of_queries), joined(of_keys.transpose(-2, -1)), joined(of_values)], 2)
    return of_inputs + linear_by_hand(of_qkv, normed, attend.qkv.weight), of_attention


def pair_by_gradient(function, relevance, left, right):
    with torch.enable_grad():
        return balance(relevance, *by_gradient(function, relevance, left, right))


def joined(heads):
    """[B,h,N,d] to [B,N,hd]."""
    return torch.cat(heads.unbind(1), 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    [
        "deit_tiny_patch16_224",
        "vit_tiny_patch16_224",
        "deit3_small_patch16_224",
        "deit_tiny_distilled_patch16_224",
    ],
)
def test_timm_transformers_of_several_builds(method, name):
    torch.manual_seed(0)
    network = timm.create_model(name, img_size=(48, 64), depth=2).eval()
    classifier, images = Classifier(network), torch.rand(2, 3, 48, 64)
    if method is TransformerAttribution and "distilled" in name:
        assert not method.applies_to(classifier)
        with pytest.raises(ValueError, match="are not one linear layer on its class token"):
            method(classifier)
        return
    maps = method(classifier)(images, 7)
    assert maps.shape == (2, 48, 64)
    assert torch.isfinite(maps).all()
    assert maps.amax((1, 2)).tolist() == [1, 1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", ["exact", "half"])
def test_a_map_does_not_depend_on_batch_mates(classify, images, targets, method, level):
    dtype = torch.float64 if level == "exact" else torch.float32
    method, images = method(classify("vit", dtype, optimize=level)), images.to(dtype)
    together = method(images, targets)
    alone = torch.cat([method(images[i : i + 1], targets[i : i + 1]) for i in range(len(images))])
    allowed = 1e-6 if level == "exact" else 8 * torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(together, alone, rtol=0, atol=allowed)


def test_only_attribution_tells_classes_apart(classify, images):
    for method, differs in zip(METHODS, (False, False, True)):
        method = method(classify("vit"))
        assert bool((method(images, 1) - method(images, 2)).abs().max() > 1e-3) == differs


@pytest.mark.parametrize("method", METHODS)
def test_convolutional_networks_are_refused(classify, method):
    assert not method.applies_to(classify("gap"))
    with pytest.raises(ValueError, match="needs a vision transformer with a class token, not GapNetwork"):
        method(classify("gap"))


def test_networks_without_a_class_token_are_refused():
    network = timm_network(class_token=False, global_pool="avg")
    for method in METHODS:
        assert not method.applies_to(Classifier(network, "norm"))


def cait():
    """Its class token joins behind the blocks of the patches."""
    return Cait(img_size=48, patch_size=12, embed_dim=24, depth=3, num_heads=2, num_classes=7)


def volo():
    """As CaiT, in stages."""
    options = {"stem_hidden_dim": 8, "embed_dims": [12, 24], "num_heads": [2, 2], "mlp_ratio": 2}
    return VOLO([1, 1], 48, num_classes=7, **options)


def pit():
    """Fewer tokens at each stage."""
    return PoolingVisionTransformer(48, 16, 8, "overlap", (8, 8, 8), (1, 1, 1), (1, 2, 2), num_classes=7)


@pytest.mark.parametrize(
    ("build", "method", "reason"),
    [
        (cait, RawAttention, "not every attention of Cait is of all tokens to the same tokens"),
        (cait, AttentionRollout, "not every attention of Cait is of all tokens to the same tokens"),
        (cait, TransformerAttribution, "2 attentions were read of the 3 blocks of Cait"),
        (volo, RawAttention, "the 9 tokens that attend in VOLO have no class token among them"),
        (volo, AttentionRollout, "the 9 tokens that attend in VOLO have no class token among them"),
        (pit, AttentionRollout, "not every attention of PoolingVisionTransformer is of all tokens"),
    ],
)
def test_attention_that_is_not_of_class_token_and_patches_is_refused(build, method, reason):
    classifier = Classifier(randomise(build()), optimize="exact")
    with pytest.raises(ValueError, match=f"classifier: {reason}"):
        method(classifier)(torch.rand(1, 3, 48, 48), 1)


def test_raw_attention_reads_the_last_of_several_stages():
    network = randomise(pit()).double()
    images, last = torch.rand(2, 3, 48, 48, dtype=torch.float64), network.transformers[-1].blocks[-1].attn
    maps, records = RawAttention(Classifier(network, mean=(0,) * 3, std=(1,) * 3))(images), []
    last.fused_attn = False
    last.attn_drop.register_forward_hook(lambda module, inputs, output: records.append(output.detach()))
    network(images)
    side = int((records[0].shape[-1] - 1) ** 0.5)
    expected = upsample_and_normalize(records[0].mean(1)[:, 0, 1:].unflatten(1, (side, side)), (48, 48))
    torch.testing.assert_close(maps, expected)


class Plain(nn.Module):
    """Attention of a class token and patches in layers that may ask for its probabilities."""

    def __init__(self, asking):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, 5, 5), nn.Linear(8, 7)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.layers = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in asking)
        self.asking = asking

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1)
        for layer, asks in zip(self.layers, self.asking):
            tokens = tokens + layer(tokens, tokens, tokens, need_weights=asks)[0]
        return self.head(tokens[:, 0])


@pytest.mark.parametrize("method", [RawAttention, AttentionRollout])
def test_attention_that_was_not_seen_is_told(method):
    """PyTorch computes it another way where its probabilities are asked for."""
    images = timm_images()
    assert method(Classifier(randomise(Plain([False] * 3)), "patches"))(images).isfinite().all()
    with pytest.raises(ValueError, match="2 attentions could be read of Plain, where 3 ran"):
        method(Classifier(randomise(Plain([False, False, True])), "patches"))(images)
    with pytest.raises(ValueError, match="no attention could be read from this Plain"):
        method(Classifier(randomise(Plain([True, True])), "patches"))(images)


@pytest.mark.parametrize("method", [RawAttention, AttentionRollout])
def test_parallel_attentions_are_no_successive_ones(method):
    network = timm_network(block_fn=ParallelThingsBlock)
    with pytest.raises(ValueError, match="6 attentions were read of the 3 blocks of VisionTransformer"):
        method(Classifier(network))(timm_images())


@pytest.mark.parametrize("block", [ResPostBlock, EvaBlockPostNorm])
def test_attribution_refuses_blocks_that_normalise_behind_attention(block):
    classifier = Classifier(timm_network(block_fn=block))
    assert AttentionRollout(classifier)(timm_images()).isfinite().all()
    with pytest.raises(ValueError, match=f"classifier: {block.__name__} does not normalise its input"):
        TransformerAttribution(classifier)(timm_images(), 1)


def test_attribution_tells_a_gate_in_the_mlp():
    network = timm_network(mlp_layer=SwiGLUPacked)
    assert RawAttention.applies_to(Classifier(network))
    assert not TransformerAttribution.applies_to(Classifier(network))
    with pytest.raises(ValueError, match="classifier: VisionTransformer has no blocks of norm, attention"):
        TransformerAttribution(Classifier(network))


def test_gradients_reach_every_patch_of_a_deit():
    torch.manual_seed(0)
    network = timm.create_model("deit_tiny_patch16_224", img_size=(48, 64)).eval()
    features, gradients, _ = Classifier(network).gradients(torch.rand(2, 3, 48, 64), lambda y: y[:, 5])
    assert features.shape == gradients.shape == (2, 192, 3, 4)
    assert (gradients.abs().amax(1) > 0).all()
