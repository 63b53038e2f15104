"""mmsegmentation's Segmenter in plain torch, with the parameter names of its checkpoints, for comparison with intsim."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """The wrapper that yields names such as attn.attn.in_proj_weight."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(x, x, x, need_weights=False)[0]


class FeedForward(nn.Module):
    """The MLP, with names such as ffn.layers.0.0.weight and ffn.layers.1.weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.0))
        self.layers = nn.Sequential(first, nn.Linear(4 * width, width), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(width, eps), Attention(width, heads)
        self.ln2, self.ffn = nn.LayerNorm(width, eps), FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))


class Backbone(nn.Module):
    """The vision transformer; its class token is removed at the end."""

    def __init__(self, patches: int, patch: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.projection = nn.Conv2d(3, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1, width))
        self.layers = nn.ModuleList(Layer(width, heads, 1e-6) for _ in range(depth))
        self.ln1 = nn.LayerNorm(width, 1e-6)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch_embed.projection(image).flatten(2).mT
        x = torch.cat([self.cls_token, x], 1) + self.pos_embed
        for layer in self.layers:
            x = layer(x)
        return self.ln1(x)[:, 1:]


class MaskHead(nn.Module):
    """SegmenterMaskTransformerHead."""

    def __init__(self, classes: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.classes = classes
        self.dec_proj = nn.Linear(width, width)
        self.cls_emb = nn.Parameter(torch.zeros(1, classes, width))
        self.layers = nn.ModuleList(Layer(width, heads, 1e-5) for _ in range(depth))
        self.decoder_norm, self.mask_norm = nn.LayerNorm(width), nn.LayerNorm(classes)
        self.patch_proj, self.classes_proj = (nn.Linear(width, width, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.dec_proj(x), self.cls_emb], 1)
        for layer in self.layers:
            x = layer(x)
        x = self.decoder_norm(x)
        patches, classes = self.patch_proj(x[:, : -self.classes]), self.classes_proj(x[:, -self.classes :])
        patches = patches / patches.norm(dim=-1, keepdim=True)
        classes = classes / classes.norm(dim=-1, keepdim=True)
        return self.mask_norm(patches @ classes.mT)


class LinearHead(nn.Module):
    """FCNHead without convolutions: a 1x1 convolution."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_seg(x.mT[..., None])[..., 0].mT


class Segmenter(nn.Module):
    """Pictures [1, 3, H, W] to scores [1, patches, classes]; `decoder_layers=0` selects the linear head."""

    def __init__(
        self, patches: int, patch: int, width: int, heads: int, layers: int, classes: int, decoder_layers: int
    ) -> None:
        super().__init__()
        self.backbone = Backbone(patches, patch, width, heads, layers)
        head = MaskHead(classes, width, heads, decoder_layers) if decoder_layers else LinearHead(classes, width)
        self.decode_head = head

    def forward(self, image: Tensor) -> Tensor:
        return self.decode_head(self.backbone(image))


def randomise(model: nn.Module, seed: int) -> None:
    """Random values that keep activations in range: matrices scaled by fan-in, norms about 1, the rest small."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim in (2, 4):
                value /= parameter[0].numel() ** 0.5
            elif "ln" in name or "norm" in name:
                value = 0.1 * value + name.endswith("weight")
            else:
                value *= 0.1
            parameter.copy_(value)
