"""The base's autoencoder: an encoder written down in closed form, and a decoder that learns to undo it.

A picture's 8 x 8 patches are rotated to their principal components, of which sixteen are kept: linear, so that the
transformer can be trained from the first minute, while the decoder is still learning. The maps are laid into the
weights of diffusers' `AutoencoderKL`, which everything else loads as it loads FLUX's own.

Shape suffixes: B batch, C channels of a latent, H and W rows and columns, N patches, F numbers of a patch,
K components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

GROUPS = 8
CARRIER = 256.0
"""A constant that outweighs everything else in its normalisation group, so that the group's scale is constant."""


@dataclass(frozen=True, slots=True)
class AutoencoderShape:
    """Channels at full, half, quarter and eighth size, and of a latent."""

    channels: tuple[int, int, int, int] = (16, 32, 64, 64)
    latent: int = 16


def build_autoencoder(shape: AutoencoderShape, picture_B3HW: Tensor) -> Any:
    """An `AutoencoderKL` whose encoder gives the leading components of these pictures' patches.

    Latents have mean 0 and, taken together, variance 1; a component's spread is the square root of its natural
    one, so that strong ones lead without drowning the others. The encoder's variance is next to nothing: the mode
    is what counts. The decoder is as diffusers draws it: untrained.

    Args:
        shape: its channels.
        picture_B3HW: -1 to 1, of the kind that will be encoded; some hundred are enough.

    Returns:
        The model in float32, `scaling_factor` 1 and `shift_factor` 0.
    """
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=shape.channels,
        layers_per_block=1,
        latent_channels=shape.latent,
        norm_num_groups=GROUPS,
        scaling_factor=1.0,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        write_encoder(vae.encoder, shape, picture_B3HW)
    return vae


def write_encoder(encoder: Any, shape: AutoencoderShape, picture_B3HW: Tensor) -> None:
    """Lays the component analysis into the convolutions, level by level; every residual branch is silenced."""
    for parameter in encoder.parameters():
        parameter.zero_()
    encoder.conv_in.weight[:3, :, 1, 1] = torch.eye(3)
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            if resnet.conv_shortcut is not None:
                weight = resnet.conv_shortcut.weight
                weight[:, :, 0, 0] = torch.eye(weight.shape[0], weight.shape[1])
    halves, quarters = shape.channels[1], shape.channels[2]
    cells = fold(picture_B3HW)
    write_cell(encoder.down_blocks[0].downsamplers[0].conv, torch.eye(12), torch.zeros(12), 3)
    basis_KF, mean_F, _ = components(cells_of(cells), min(halves, 48))
    write_cell(encoder.down_blocks[1].downsamplers[0].conv, basis_KF, -basis_KF @ mean_F, 12)
    cells = functional.conv2d(fold(cells), basis_KF[:, :, None, None], -basis_KF @ mean_F)
    basis_KF, mean_F, spread_K = components(cells_of(cells), shape.latent)
    basis_KF = basis_KF * even_spread(spread_K)[:, None]
    rows, offset = carried(basis_KF, -basis_KF @ mean_F, quarters)
    write_cell(encoder.down_blocks[2].downsamplers[0].conv, rows, offset, len(cells[0]))
    write_exit(encoder, shape.latent)


def fold(picture_BCHW: Tensor) -> Tensor:
    """(B, C, H, W) → (B, 4 C, H/2, W/2): each 2 x 2 cell in one place, row before column before channel."""
    batch, channels, height, width = picture_BCHW.shape
    cells = picture_BCHW.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return cells.permute(0, 3, 5, 1, 2, 4).reshape(batch, 4 * channels, height // 2, width // 2)


def cells_of(picture_BCHW: Tensor) -> Tensor:
    """Every 2 x 2 cell as a row, (N, 4 C), in `fold`'s order."""
    return fold(picture_BCHW).flatten(2).transpose(1, 2).flatten(0, 1)


def components(patch_NF: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading principal components: (basis_KF, mean_F, standard deviation of each)."""
    patch_NF = patch_NF.double()
    mean_F = patch_NF.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patch_NF - mean_F).T))
    basis_KF = vectors.T.flip(0)[:count]
    signs = torch.where(basis_KF.sum(1) < 0, -1.0, 1.0)
    spread_K = values.flip(0)[:count].clamp(min=1e-6).sqrt()
    return (basis_KF * signs[:, None]).float(), mean_F.float(), spread_K.float()


def even_spread(spread_K: Tensor) -> Tensor:
    """What each component is multiplied with: spreads become their square roots, their mean square 1."""
    eased = spread_K.sqrt()
    return eased / spread_K / eased.square().mean().sqrt()


def carried(basis_KF: Tensor, offset_K: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Each number beside its negative, and a carrier in every normalisation group.

    SiLU(x) - SiLU(-x) = x, and a group whose spread is the carrier's has a constant scale: so the normalisation
    and the nonlinearity before the encoder's last convolution change nothing.
    """
    size = channels // GROUPS
    each = (size - 2) // 2
    if each * GROUPS < len(basis_KF):
        raise ValueError(f"{len(basis_KF)} components need more than {channels} channels at an eighth of the size")
    rows, offset = torch.zeros(channels, basis_KF.shape[1]), torch.zeros(channels)
    for component, (row, shift) in enumerate(zip(basis_KF, offset_K, strict=True)):
        at = component // each * size + 2 * (component % each)
        rows[at], offset[at] = row, shift
        rows[at + 1], offset[at + 1] = -row, -shift
    offset[size - 2 :: size], offset[size - 1 :: size] = CARRIER, -CARRIER
    return rows, offset


def write_cell(convolution: Any, basis_KF: Tensor, offset_K: Tensor, channels: int) -> None:
    """A map on 2 x 2 cells as a 3 x 3 convolution of stride 2 (diffusers pads at the right and below)."""
    taps_KYXC = basis_KF.reshape(len(basis_KF), 2, 2, channels)
    convolution.weight[: len(basis_KF), :channels, :2, :2] = taps_KYXC.permute(0, 3, 1, 2)
    convolution.bias[: len(offset_K)] = offset_K


def write_exit(encoder: Any, latent: int) -> None:
    """Undoes `carried`: normalisation by the carrier, then each number minus its negative."""
    size = encoder.conv_norm_out.num_channels // GROUPS
    each = (size - 2) // 2
    encoder.conv_norm_out.weight[:] = CARRIER * (2 / size) ** 0.5
    for component in range(latent):
        at = component // each * size + 2 * (component % each)
        encoder.conv_out.weight[component, at, 1, 1] = 1
        encoder.conv_out.weight[component, at + 1, 1, 1] = -1
    encoder.conv_out.bias[latent:] = -20


@dataclass(frozen=True, slots=True)
class PatchEncoder:
    """What `build_autoencoder`'s encoder computes, as one matrix on patches: a hundred times less work.

    `read` probes an autoencoder for it; a learnt, nonlinear one has no such matrix.
    """

    weight_CF: Tensor
    offset_C: Tensor

    @classmethod
    def read(cls, vae: Any) -> PatchEncoder | None:
        """The matrix of this encoder; None where a random picture shows that it has none."""
        with torch.no_grad():
            offset_C = vae.encode(torch.zeros(1, 3, 8, 8)).latent_dist.mode().flatten()
            unit = torch.eye(192).reshape(192, 3, 8, 8)
            answers = vae.encode(unit).latent_dist.mode().flatten(1)
            found = cls((answers - offset_C).T.contiguous(), offset_C)
            probe = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
            expected = vae.encode(probe).latent_dist.mode()
            return found if torch.allclose(found(probe), expected, atol=1e-3, rtol=1e-3) else None

    def __call__(self, picture_B3HW: Tensor) -> Tensor:
        """(B, 3, H, W), -1 to 1 → (B, C, H/8, W/8)."""
        weight = self.weight_CF.reshape(-1, 3, 8, 8)
        return functional.conv2d(picture_B3HW, weight, self.offset_C, stride=8)

    def inverse(self, latent_BCHW: Tensor) -> Tensor:
        """The nearest picture without a decoder, softer than the real one: (B, C, H/8, W/8) → (B, 3, H, W)."""
        weight = torch.linalg.pinv(self.weight_CF).T.reshape(-1, 3, 8, 8)
        return functional.conv_transpose2d(latent_BCHW - self.offset_C[:, None, None], weight, stride=8)


def decoder_loss(made_B3HW: Tensor, picture_B3HW: Tensor) -> Tensor:
    """Absolute difference of pixels and of their differences to the right and below: sharp edges count twice."""
    loss = (made_B3HW - picture_B3HW).abs().mean()
    for side in (-1, -2):
        loss = loss + (made_B3HW.diff(dim=side) - picture_B3HW.diff(dim=side)).abs().mean()
    return loss


def train_decoder(
    vae: Any,
    pictures: Iterable[Tensor],
    *,
    steps: int,
    rate: float = 2e-3,
    half: bool = False,
    said: Callable[[int, float], None] = lambda step, loss: None,
) -> Any:
    """Trains the decoder alone; the encoder stays as it is.

    Args:
        vae: as `build_autoencoder` gives it.
        pictures: batches (B, 3, H, W), -1 to 1.
        rate: of AdamW.
        half: whether products are made in bfloat16.
        steps: how many of them are used; the rate falls to 0 over the last third.
        said: called with each step's number and loss.
    """
    vae.encoder.requires_grad_(False)
    optimiser = torch.optim.AdamW(vae.decoder.parameters(), rate, betas=(0.9, 0.95), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / 50, max(0.0, 3 * (1 - step / steps)))
    )
    for step, picture_B3HW in zip(range(steps), pictures, strict=False):
        picture_B3HW = picture_B3HW.to(vae.device)
        with torch.no_grad():
            latent_BCHW = vae.encode(picture_B3HW).latent_dist.mode()
        with torch.autocast(vae.device.type, torch.bfloat16, enabled=half):
            made_B3HW = vae.decode(latent_BCHW).sample
        loss = decoder_loss(made_B3HW.float(), picture_B3HW)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        said(step, float(loss.detach()))
    return vae


def decibels(made_B3HW: Tensor, picture_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture, (B,); both -1 to 1."""
    error_B = (made_B3HW.clamp(-1, 1) - picture_B3HW).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error_B.clamp(min=1e-10))
