"""Segmenter (Strudel et al., ICCV 2021) in plain torch, with the published parameter names.

Written independently of intsim's real-valued graph, for comparison. `l2_norm` normalises patch and class features before
their product, as published; the shipped checkpoint was trained without it, so that only the mask norm sets the scale of the
scores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection for q, k and v."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.proj = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.n_heads, width // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    """Two linear layers around the exact (erf) GELU."""

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_hidden)
        self.fc2 = nn.Linear(d_hidden, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, d_model: int, n_heads: int, mlp_ratio: int = 4, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model, eps)
        self.attn = Attention(d_model, n_heads)
        self.norm2 = nn.LayerNorm(d_model, eps)
        self.mlp = Mlp(d_model, mlp_ratio * d_model)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """Cut the picture into patches and project each to a token."""

    def __init__(self, patch_size: int, d_model: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, d_model, kernel_size=patch_size, stride=patch_size)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    """Vision transformer; returns the normalised patch tokens, without the class token and DeiT's distillation token."""

    def __init__(
        self, n_patches: int, patch_size: int, d_model: int, n_heads: int, n_layers: int, distilled: bool, eps: float
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(patch_size, d_model)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d_model))
        if distilled:
            self.dist_token = nn.Parameter(torch.zeros(1, 1, d_model))
        self.extra_tokens = 1 + distilled
        self.pos_embed = nn.Parameter(torch.zeros(1, n_patches + self.extra_tokens, d_model))
        self.blocks = nn.ModuleList(Block(d_model, n_heads, eps=eps) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model, eps)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch_embed(image)
        extra = [self.cls_token] + ([self.dist_token] if self.extra_tokens == 2 else [])
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in extra), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, self.extra_tokens :]


class MaskDecoder(nn.Module):
    """Class embeddings attend to the patches; masks are scalar products of both."""

    def __init__(self, n_cls: int, d_model: int, n_heads: int, n_layers: int, l2_norm: bool) -> None:
        super().__init__()
        self.n_cls, self.l2_norm = n_cls, l2_norm
        self.proj_dec = nn.Linear(d_model, d_model)
        self.cls_emb = nn.Parameter(torch.zeros(1, n_cls, d_model))
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))
        self.decoder_norm = nn.LayerNorm(d_model)
        self.proj_patch = nn.Parameter(d_model**-0.5 * torch.randn(d_model, d_model))
        self.proj_classes = nn.Parameter(d_model**-0.5 * torch.randn(d_model, d_model))
        self.mask_norm = nn.LayerNorm(n_cls)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.proj_dec(x), self.cls_emb.expand(len(x), -1, -1)], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_norm(x)
        patches = x[:, : -self.n_cls] @ self.proj_patch
        classes = x[:, -self.n_cls :] @ self.proj_classes
        if self.l2_norm:
            patches, classes = F.normalize(patches, dim=-1), F.normalize(classes, dim=-1)
        return self.mask_norm(patches @ classes.transpose(1, 2))


class LinearDecoder(nn.Module):
    """One linear layer on every patch."""

    def __init__(self, n_cls: int, d_model: int) -> None:
        super().__init__()
        self.head = nn.Linear(d_model, n_cls)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


class Segmenter(nn.Module):
    """Encoder and decoder; `decoder_layers=None` selects the linear decoder.

    Input: pictures [B, 3, H, W], normalised by `normalize`.  Output: scores on the
    patch grid, [B, n_cls, H / patch_size, W / patch_size].
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        patch_size: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        n_cls: int,
        decoder_layers: int | None,
        l2_norm: bool = False,
        distilled: bool = False,
        encoder_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        n_patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.encoder = Encoder(n_patches, patch_size, d_model, n_heads, n_layers, distilled, encoder_eps)
        self.decoder = (
            LinearDecoder(n_cls, d_model)
            if decoder_layers is None
            else MaskDecoder(n_cls, d_model, n_heads, decoder_layers, l2_norm)
        )
        self.apply(_initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("cls_token", "pos_embed", "cls_emb")):
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        scores = self.decoder(self.encoder(image))
        height = image.shape[-2] // self.patch_size
        return scores.transpose(1, 2).unflatten(2, (height, -1))


def _initialise(module: nn.Module) -> None:
    """Truncated normal for linear layers, zero biases (norms start at the identity)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def normalize(image: Tensor) -> Tensor:
    """The 'vit' normalisation of 8-bit pictures: 0..255 to -1..1."""
    return (image.float() / 255 - 0.5) / 0.5
