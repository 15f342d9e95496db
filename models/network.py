"""What a network is to training, loading, prediction and heat maps."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from .motion import MotionStream
    from .trunks import Trunk

# What a network puts out: (B, classes), or a tuple that begins with it.
Output = Tensor | tuple[Tensor, ...]


class Network(Protocol):
    """A torch module for B clips; models.registry.NETWORKS says which there are.

    Its inputs are a tensor a stream, in the order of registry.STREAMS: frame (B, 3, S, S) RGB in
    [0, 1]; views (B, 13, S, S) grey in [0, 1] (of --views 14 with the frame before them, B x 16);
    motion (B, 3, s, s) in any scale.
    """

    @property
    def trunks(self) -> "tuple[Trunk, ...]":
        """What --weights and --freeze are of, one a stream of pictures; () without any."""
        ...

    @property
    def motion(self) -> "MotionStream | None":
        """The part that starts from the synthetic motion weights, beside pictures."""
        ...

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the trunks make of the inputs, a feature map (B, C, h, w) a stream of pictures.

        Motion goes on as it is. While the trunks are frozen this is computed once for all epochs.
        """
        ...

    def head(self, *features: Tensor) -> Output:
        """The rest of the network."""
        ...

    def __call__(self, *inputs: Tensor) -> Output:
        """head(*features(*inputs))."""
        ...

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """The loss, a mean over the batch; labels are int64 (B,)."""
        ...

    def scores(self, output: Output) -> Tensor:
        """(B, classes): the highest is the prediction."""
        ...

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """For each input the module whose feature map (B, C, h, w) a heat map weighs.

        None: the input's own pixels are weighed.
        """
        ...

    # What is called of torch.nn.Module's.
    # ruff: noqa: D102
    def to(self, *args: Any, **kwargs: Any) -> Self: ...
    def train(self, mode: bool = True) -> Self: ...
    def eval(self) -> Self: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def class_output(output: Output) -> Tensor:
    """The part (B, classes) of what a network puts out."""
    return output if isinstance(output, Tensor) else output[0]
