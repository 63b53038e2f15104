"""A quantization-aware Segmenter of I-ViT's published modules, recorded: golden/ivit-segmenter-mini.npz.

    python tools/ivit_segmenter.py --ivit I-ViT -o golden/ivit-segmenter-mini.npz [--decoder linear]

I-ViT (github.com/zkkli/I-ViT) publishes DeiT, ViT and Swin. Here its modules stand in the place of the original Segmenter's
layers, under the names that docs/ivit.md lists: the encoder is its VisionTransformer, without a head and with all tokens
requantized; the decoder is written the same way. Weights are random and all scales powers of two, so that float64, in which
everything runs, represents every integer. Needs torch and a checkout of I-ViT.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIZE, PATCH, WIDTH, HEADS, LAYERS, CLASSES = (24, 32), 8, 64, 4, 1, 4
Pair = tuple[Tensor, Tensor]  # values that represent integers, and their scale


def main() -> None:
    """Build, calibrate, record."""
    parser = argparse.ArgumentParser(description="Record a Segmenter of I-ViT's modules.")
    parser.add_argument("--ivit", type=Path, required=True, help="a checkout of I-ViT")
    parser.add_argument("--decoder", choices=("mask", "linear"), default="mask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[assignment]  # the modules expect a GPU
    sys.path.insert(0, str(arguments.ivit))
    net = segmenter(arguments.decoder == "mask")
    picture = torch.randint(-128, 128, (1, 3, *SIZE)).double() / 64
    with torch.no_grad():
        draw_weights(net)
        net(picture)
        round_scales(net)
        archive = recorded(net, picture)
    decoder: dict[str, Any] = (
        {"name": "mask_transformer", "n_layers": 1} if arguments.decoder == "mask" else {"name": "linear"}
    )
    meta = {"image_size": SIZE, "patch_size": PATCH, "d_model": WIDTH, "n_heads": HEADS, "n_layers": LAYERS}
    meta |= {"n_cls": CLASSES, "decoder": decoder, "normalization": "vit"}
    np.savez_compressed(arguments.output, meta=json.dumps(meta), **archive)


def segmenter(masked: bool) -> nn.Module:
    """The network; every module passes on values and their scale."""
    from models.quantization_utils import IntGELU, IntLayerNorm, QuantAct, QuantLinear, QuantMatMul
    from models.vit_quant import Block, VisionTransformer

    class Encoder(VisionTransformer):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Pair:
            x, scale = self.qact_input(x)
            x, scale = self.patch_embed(x, scale)
            x = torch.cat((self.cls_token, x), dim=1)
            positions, position_scale = self.qact_pos(self.pos_embed)
            x, scale = self.qact1(x, scale, positions, position_scale)
            for block in self.blocks:
                x, scale = block(x, scale)
            x, scale = self.norm(x, scale)
            x, scale = self.qact2(x, scale)
            return x[:, 1:], scale

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.qact1 = QuantLinear(WIDTH, CLASSES), QuantAct(16)

        def forward(self, x: Tensor, scale: Tensor) -> Pair:
            scores: Pair = self.qact1(*self.head(x, scale))
            return scores

    class MaskTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj_dec, self.qact1 = QuantLinear(WIDTH, WIDTH), QuantAct(16)
            self.cls_emb = nn.Parameter(torch.randn(1, CLASSES, WIDTH))
            self.blocks = nn.ModuleList(
                [Block(WIDTH, HEADS, qkv_bias=True, act_layer=IntGELU, norm_layer=IntLayerNorm) for _ in range(1)]
            )
            self.decoder_norm, self.qact2 = IntLayerNorm(WIDTH), QuantAct()
            self.proj_patch, self.qact3 = QuantLinear(WIDTH, WIDTH, bias=False), QuantAct()
            self.proj_classes, self.qact4 = QuantLinear(WIDTH, WIDTH, bias=False), QuantAct()
            self.matmul, self.qact5 = QuantMatMul(), QuantAct(16)
            self.mask_norm, self.qact6 = IntLayerNorm(CLASSES), QuantAct(16)

        def forward(self, x: Tensor, scale: Tensor) -> Pair:
            x, scale = self.qact1(*self.proj_dec(x, scale))
            x = torch.cat((x, torch.round(self.cls_emb / scale) * scale), dim=1)  # at the scale of qact1
            for block in self.blocks:
                x, scale = block(x, scale)
            x, scale = self.qact2(*self.decoder_norm(x, scale))
            patches, patch_scale = self.qact3(*self.proj_patch(x[:, :-CLASSES], scale))
            classes, class_scale = self.qact4(*self.proj_classes(x[:, -CLASSES:], scale))
            masks, scale = self.matmul(patches, patch_scale, classes.transpose(1, 2), class_scale)
            masks, scale = self.qact5(masks, scale)
            scores: Pair = self.qact6(*self.mask_norm(masks, scale))
            return scores

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder(
                img_size=SIZE, patch_size=PATCH, num_classes=0, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS,
                norm_layer=IntLayerNorm,
            )  # fmt: skip
            self.decoder = MaskTransformer() if masked else Linear()

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.decoder(*self.encoder(x))[0]
            return scores

    return Segmenter().eval()


def draw_weights(net: nn.Module) -> None:
    """Random parameters whose scales are powers of two."""
    from models.quantization_utils import IntLayerNorm, QuantConv2d, QuantLinear

    for module in net.modules():
        if isinstance(module, IntLayerNorm):
            module.weight.copy_(2.0 ** torch.randint(-1, 2, module.weight.shape))
            module.bias.normal_(0, 0.3)
        elif isinstance(module, (QuantLinear, QuantConv2d)):
            rows = torch.randn(module.weight.shape[0], module.weight[0].numel())
            first = torch.arange(len(rows)) % rows.shape[1]
            rows[torch.arange(len(rows)), first] = rows.abs().max(dim=1).values
            rows *= (127 * 2.0 ** torch.randint(-10, -8, (len(rows),)) / rows.abs().max(dim=1).values)[:, None]
            rows[torch.arange(len(rows)), first] = 127 * 2.0 ** torch.round(torch.log2(rows.abs().max(dim=1).values / 127))
            module.weight.copy_(rows.reshape(module.weight.shape))
            if module.bias is not None:
                module.bias.normal_(0, 0.1)


def round_scales(net: nn.Module) -> None:
    """Fix the scale of every activation at the next power of two."""
    from models.quantization_utils import QuantAct

    for module in net.modules():
        if isinstance(module, QuantAct) and module.act_scaling_factor.max() > 0:
            scale = 2.0 ** torch.ceil(torch.log2(module.act_scaling_factor.max()))
            module.max_val = (scale * (2 ** (module.activation_bit - 1) - 1)).reshape(1)
            module.min_val = -module.max_val
            module.fix()


def recorded(net: nn.Module, picture: Tensor) -> dict[str, NDArray[Any]]:
    """The state of the network, the picture, and the integers of every module that gives some."""
    names = {module: name for name, module in net.named_modules()}
    found: dict[str, NDArray[Any]] = {}

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, tuple) and not any(True for _ in module.children()):
            value, scale = output
            if value.dim() < 4 or scale.numel() == 1:
                scale = scale.reshape(-1)
            exact = (value / scale).numpy()
            integers = np.rint(exact)
            assert np.abs(exact - integers).max() < 1e-6, names[module]
            found[f"act/{names[module]}"] = as_integers(integers)
            found[f"scale/{names[module]}"] = scale.reshape(-1).numpy()

    hooks = [module.register_forward_hook(keep) for module in names]
    net(picture)
    for hook in hooks:
        hook.remove()
    state = {key: value.numpy() for key, value in net.state_dict().items() if not key.endswith((".weight", ".bias"))}
    stored = {f"state/{key}": as_integers(value) if key.endswith("_integer") else value for key, value in state.items()}
    return {"input": picture.numpy(), **stored, **found}


def as_integers(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in the narrowest type that holds them."""
    return values.astype(np.result_type(*(np.min_scalar_type(int(v)) for v in (values.min(), -1 - abs(values).max()))))


if __name__ == "__main__":
    main()
