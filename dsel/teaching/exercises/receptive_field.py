"""Exercise of notebook 02: the receptive field of a stack of convolutions.

(Source: ours.)
"""

from __future__ import annotations

from math import prod

from dsel.teaching.exercises.checker import FunctionExercise, Mistake

__all__ = ["RECEPTIVE_FIELD_MISTAKES", "receptive_field"]


def _right(pairs) -> int:
    """Compute r = 1 + sum_l (k_l - 1) prod_{m<l} s_m, for pairs (k_l, s_l)."""
    return 1 + sum((k - 1) * _jump(pairs[:layer]) for layer, (k, _) in enumerate(pairs))


def _jump(pairs) -> int:
    """Compute how many inputs apart neighbouring outputs lie: the product of the strides."""
    return prod(s for _, s in pairs)


def _last_stride(pairs) -> int:
    """Use the stride of the layer before as the jump, by mistake."""
    strides = [1, *(s for _, s in pairs)]
    return 1 + sum((k - 1) * s for (k, _), s in zip(pairs, strides, strict=False))


def _strides_added(pairs) -> int:
    """Add the strides up instead of multiplying them, by mistake."""
    jumps = [1 + sum(s for _, s in pairs[:layer]) for layer in range(len(pairs))]
    return 1 + sum((k - 1) * jump for (k, _), jump in zip(pairs, jumps, strict=True))


RECEPTIVE_FIELD_MISTAKES = [
    Mistake(
        "no strides",
        lambda pairs: 1 + sum(k - 1 for k, _ in pairs),
        "The strides do not appear: k - 1 counts jumps, not input steps.",
    ),
    Mistake(
        "off by one",
        lambda pairs: _right(pairs) - 1,
        "Off by one: with no layer at all, one output sees one input.",
    ),
    Mistake(
        "own stride",
        lambda pairs: 1 + sum((k - 1) * _jump(pairs[: n + 1]) for n, (k, _) in enumerate(pairs)),
        "The jump of layer l is the product of the strides BEFORE it; yours includes its own.",
    ),
    Mistake(
        "k jumps",
        lambda pairs: 1 + sum(k * _jump(pairs[:n]) for n, (k, _) in enumerate(pairs)),
        "A kernel of k reaches k - 1 jumps further, not k.",
    ),
    Mistake(
        "the jump",
        _jump,
        "This is the jump (how far apart outputs are), not what one output sees.",
    ),
    Mistake(
        "last stride",
        _last_stride,
        "The jump is the product of all strides before a layer; yours is the last of them (`jump = "
        "s` "
        "where `jump *= s` is meant).",
    ),
    Mistake(
        "strides added",
        _strides_added,
        "The jump is the product of the strides, not their sum: each layer strides over the "
        "outputs of "
        "the one before.",
    ),
    Mistake(
        "last layer first",
        lambda pairs: _right(pairs[::-1]),
        "You walk through the layers from the last to the first: the first layer sees the input.",
    ),
    Mistake(
        "product of kernels",
        lambda pairs: prod(k for k, _ in pairs),
        "You multiply the kernels: a second kernel of 3 widens the view by 2 jumps, it does not "
        "treble it.",
    ),
]

receptive_field = FunctionExercise(
    "my_receptive_field(pairs)",
    _right,
    [
        ([(4, 2), (5, 2), (3, 1), (2, 3)],),
        ([(3, 1)],),
        ([(3, 2), (3, 2)],),
        ([(5, 1), (5, 1), (5, 1)],),
        ([(1, 1)],),
        ([(2, 3), (7, 2), (1, 4), (3, 1), (2, 2)],),
    ],
    RECEPTIVE_FIELD_MISTAKES,
)
