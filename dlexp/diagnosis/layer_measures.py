"""What is measured of activations and of recurrent layers.

Symbols: U units.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActivationMeasure:
    """A place where an activation is applied, over the samples looked at, in evaluation mode.

    Attributes:
        place: Dotted path of a module that is the activation, else the function and the layer before it.
        function: Its name.
        after: Dotted path of the layer with weights before it, "" if there is none.
        units: U: channels of maps, features of rows and positions; 0 for functions of several elements, as a softmax.
        dead: Units that vary in their input, and whose derivative is below a hundredth of the largest for every sample
            at every position.
        constant: Units whose input is the same for all samples.
        saturated: Share of the outputs whose derivative is below a tenth of the largest, for functions that are flat on
            both sides; None for others.
        saturated_units: Units for which it is, for 95 % of their outputs.
        input_size: Mean absolute value of the inputs.
        is_gate: Its outputs are factors of a product.
        is_end: Its outputs are those of the network.
    """

    place: str
    function: str
    after: str
    units: int
    dead: int = 0
    constant: int = 0
    saturated: float | None = None
    saturated_units: int = 0
    input_size: float = 0.0
    is_gate: bool = False
    is_end: bool = False

    @property
    def dead_share(self) -> float:
        """Dead units by units, in [0, 1]."""
        return self.dead / self.units if self.units else 0.0

    @property
    def silent_share(self) -> float:
        """Dead and constant units by units, in [0, 1]."""
        return (self.dead + self.constant) / self.units if self.units else 0.0


@dataclass(frozen=True)
class MemoryMeasure:
    """How far back in time the gradient of the loss reaches.

    Attributes:
        layer: Dotted path of the first recurrent layer.
        length: Positions of at least half of the sequences looked at.
        reach: Positions from the end up to the last one whose gradient is at least 1 % of the largest.
        first_share: Norm of the gradient at the first position by the largest norm.
    """

    layer: str
    length: int
    reach: int
    first_share: float
