"""The exact way back from components to pixels, in the layers of `AutoencoderTiny`'s decoder.

That decoder enlarges by repeating cells and then convolves, and both do the same at every
place: it cannot know which pixel of a 4x4 patch it paints, so it cannot undo a projection
of patches, and one trained from nothing lost five decibels to the plain inverse. The
frame of zeros around each convolution does tell places apart. Here the first blocks count
every cell's distance from the left and the top edge; after an enlargement, the step of that
count between neighbours is 1 on the first of two repeated cells and 0 on the second; and with
it a rectified unit lets through only the one of four pictures that belongs to a pixel. The
training then begins at the quality of the linear inverse, and only has better to find.

Exact for grids of up to `3 * FIRST_BLOCKS + 1` cells a side, once the range of the latents is small
against 3, where the decoder's tanh is straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import nn

FIRST_BLOCKS = 5
"""Blocks on the coarse grid; each of their three convolutions carries the count one cell on."""
LIFT = 1.0
"""Added to pixels (0..1, a little more where components were cut off) to keep them above zero."""
GATE = 8.0
"""Taken from pixels that belong to another place: more than they and the lift can reach."""
CENTRE = (1, 1)
AXES = ((1, 0), (0, 1))
"""The neighbour to the left and the one above, as (row, column) of a 3x3 kernel."""
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
FINE_ONE, FINE_COUNTS = 48, (49, 50)
"""The constant and the counts after the first enlargement; before them, four times 12 pixels."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Which channels carry what; all others are left to the training.

    On the coarse grid the latents stand twice, once with each sign, because only
    what is above zero passes the blocks.
    """

    latents: int

    @property
    def one(self) -> int:
        """The constant 1."""
        return 2 * self.latents + 0

    @property
    def counts(self) -> tuple[int, int]:
        """Distance from the left and from the top edge, beginning with 1."""
        return self.one + 1, self.one + 2

    @property
    def runners(self) -> tuple[int, int]:
        """A step function on its way from the left and from the top."""
        return self.one + 3, self.one + 4

    @property
    def least(self) -> int:
        """Width that the decoder needs: for this, and for 48 pixels with a constant and counts."""
        return max(2 * self.latents + 5, 51)


def write_inverse(codec: AutoencoderTiny, matrix: torch.Tensor, mean: torch.Tensor) -> None:
    """Make `codec` decode latents z [c] of a cell to the patch `matrix @ z + mean`, in 0..1.

    `matrix` is [48, c] and `mean` [48]; pixels in the order (colour, row and column within the
    2x2 cells, then those within a cell) that two `pixel_unshuffle(2)` in a row give. Weights of
    no use to the inverse keep their random start, but only where they cannot change the result.

    Raises:
        ValueError: the decoder is too narrow or has too few blocks on the coarse grid.

    """
    use = Channels(matrix.shape[1])
    layers = codec.decoder.layers
    enlarge = [index for index, layer in enumerate(layers) if isinstance(layer, nn.Upsample)]
    width = layers[0].out_channels
    if width < use.least or enlarge[0] - 2 < FIRST_BLOCKS:
        raise ValueError(
            f"the inverse needs {use.least} channels and {FIRST_BLOCKS} blocks on the coarse grid,"
            f" not {width} and {enlarge[0] - 2}"
        )
    with torch.no_grad():
        for index, layer in enumerate(layers):
            if isinstance(layer, AutoencoderTinyBlock):
                layer.conv[4].weight.zero_()
                layer.conv[4].bias.zero_()
                # Counts are large beside pixels; what starts at random had better not see them.
                layer.conv[0].weight[:, use.counts if index < enlarge[0] else FINE_COUNTS] = 0
        _enter(layers[0], use)
        for block in layers[2 : 2 + FIRST_BLOCKS]:
            _carry(block.conv, use)
        _first_enlargement(layers[enlarge[0] + 1], use, matrix, mean)
        _second_enlargement(layers[enlarge[1] + 1])
        _leave(layers[-1])


def keep_counting(codec: AutoencoderTiny) -> None:
    """Leave out of training what makes, carries and reads the counts.

    They are added up over the whole width and then multiplied, so that the first step of
    training would put every gate out of order. Everything else may change. Weight decay has
    to be off.
    """
    layers = codec.decoder.layers
    first, second = (i for i, layer in enumerate(layers) if isinstance(layer, nn.Upsample))
    use = Channels(layers[0].in_channels)
    hidden = list(range(6))
    coarse = [use.one, *use.counts, *use.runners]
    fine = [FINE_ONE, *FINE_COUNTS]
    _hold(layers[0], rows=coarse)
    for index, block in enumerate(layers):
        if not isinstance(block, AutoencoderTinyBlock) or index > second:
            continue
        made, read = (coarse, [*use.counts, *use.runners]) if index < first else (fine, fine[1:])
        counting = hidden if index < first else []
        _hold(block.conv[0], rows=counting, columns=read)
        _hold(block.conv[2], rows=counting, columns=counting)
        _hold(block.conv[4], rows=made, columns=counting)
    _hold(layers[first + 1], rows=fine, columns=[*use.counts, *use.runners])
    _hold(layers[second + 1], columns=fine[1:])


def _hold(convolution: nn.Conv2d, *, rows: Sequence[int] = (), columns: Sequence[int] = ()) -> None:
    free = torch.ones_like(convolution.weight)
    free[list(rows)] = 0
    free[:, list(columns)] = 0
    convolution.weight.register_hook(lambda gradient: gradient * free)
    if convolution.bias is not None and rows:
        free_bias = torch.ones_like(convolution.bias)
        free_bias[list(rows)] = 0
        convolution.bias.register_hook(lambda gradient: gradient * free_bias)


def _clear(convolution: nn.Conv2d, rows: list[int], counts: tuple[int, ...] = ()) -> None:
    """Zeros for the output channels `rows`, and on the input channels `counts`."""
    convolution.weight[rows] = 0
    convolution.weight[:, list(counts)] = 0
    if convolution.bias is not None:
        convolution.bias[rows] = 0


def _enter(convolution: nn.Conv2d, use: Channels) -> None:
    constants = [use.one, *use.counts, *use.runners]
    _clear(convolution, [*range(2 * use.latents), *constants])
    for latent in range(use.latents):
        convolution.weight[latent, latent][CENTRE] = 1
        convolution.weight[use.latents + latent, latent][CENTRE] = -1
    convolution.bias[constants] = 1


def _carry(convolutions: nn.Sequential, use: Channels) -> None:
    """Move both step functions on by three cells and add the three to the counts."""
    first, second, third = convolutions[0], convolutions[2], convolutions[4]
    for axis, neighbour in enumerate(AXES):
        # Three hidden channels hold the step as it came, moved by one, and by two.
        here, once, twice = hidden = list(range(3 * axis, 3 * axis + 3))
        _clear(first, hidden)
        _clear(second, hidden)
        runner, count = use.runners[axis], use.counts[axis]
        first.weight[here, runner][CENTRE] = 1
        first.weight[once, runner][neighbour] = 1
        second.weight[here, here][CENTRE] = 1
        second.weight[once, once][CENTRE] = 1
        second.weight[twice, once][neighbour] = 1
        third.weight[runner, twice][neighbour] = 1
        third.weight[runner, here][CENTRE] = -1
        third.weight[count, once][CENTRE] = 1
        third.weight[count, twice][CENTRE] = 1
        third.weight[count, twice][neighbour] = 1


def _gate(kernel: torch.Tensor, place: tuple[int, int], one: int, counts: tuple[int, ...]) -> None:
    """Lower the output of `kernel` [channels, 3, 3] far on all cells but those at `place`."""
    # The neighbour to the left tells columns apart, the one above rows.
    for wanted, count, neighbour in zip(place[::-1], counts, AXES, strict=True):
        strength = -GATE if wanted else GATE
        kernel[count][CENTRE] += strength
        kernel[count][neighbour] -= strength
        if not wanted:
            kernel[one][CENTRE] -= GATE


def _first_enlargement(
    convolution: nn.Conv2d, use: Channels, matrix: torch.Tensor, mean: torch.Tensor
) -> None:
    """From the coarse grid to 12 lifted pixels a cell, once for each place; and doubled counts."""
    _clear(convolution, list(range(51)), use.counts)
    for number, place in enumerate(PLACES):
        for inner in range(12):
            row = inner * 4 + number
            kernel = convolution.weight[number * 12 + inner]
            kernel[: use.latents, 1, 1] = matrix[row]
            kernel[use.latents : 2 * use.latents, 1, 1] = -matrix[row]
            kernel[use.one][CENTRE] = mean[row] + LIFT
            _gate(kernel, place, use.one, use.counts)
    convolution.weight[FINE_ONE, use.one][CENTRE] = 1
    for fine, count, neighbour in zip(FINE_COUNTS, use.counts, AXES, strict=True):
        convolution.weight[fine, count][CENTRE] = 1  # with the neighbour: twice, less the step
        convolution.weight[fine, count][neighbour] = 1


def _second_enlargement(convolution: nn.Conv2d) -> None:
    """From 12 lifted pixels a cell, those of one place, to three colours for each place."""
    _clear(convolution, list(range(12)), FINE_COUNTS)
    for number, place in enumerate(PLACES):
        for colour in range(3):
            kernel = convolution.weight[number * 3 + colour]
            for earlier in range(4):
                kernel[earlier * 12 + colour * 4 + number][CENTRE] = 1
            _gate(kernel, place, FINE_ONE, FINE_COUNTS)


def _leave(convolution: nn.Conv2d) -> None:
    _clear(convolution, [0, 1, 2])
    for colour in range(3):
        for number in range(4):
            convolution.weight[colour, number * 3 + colour][CENTRE] = 1
    convolution.bias[:] = -LIFT
