"""What a network is to training, loading, prediction and heat maps."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from .motion import MotionStream
    from .trunks import Trunk

# What a network puts out: (B, classes), or a tuple that begins with it.
Output = Tensor | tuple[Tensor, ...]
Out = TypeVar("Out", bound=Output)


class Network(nn.Module, ABC, Generic[Out]):
    """A module for B clips that puts out an `Out`; models.registry.NETWORKS says which there are.

    Its inputs are a tensor a stream, in the order of registry.STREAMS: frame (B, 3, S, S) RGB in
    [0, 1]; views (B, 13, S, S) grey in [0, 1], or in colour (B, 39, S, S) (of --views 14 with the
    frame before them, three channels more); motion (B, 3, s, s) in any scale.
    """

    # The part that starts from the synthetic motion weights, beside pictures.
    motion: "MotionStream | None"

    @property
    @abstractmethod
    def trunks(self) -> "tuple[Trunk, ...]":
        """What --weights and --freeze are of, one a stream of pictures; () without any."""

    @abstractmethod
    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the trunks make of the inputs, a feature map (B, C, h, w) a stream of pictures.

        Motion goes on as it is. While the trunks are frozen this is computed once for all epochs.
        """

    @abstractmethod
    def head(self, *features: Tensor) -> Out:
        """The rest of the network."""

    def forward(self, *inputs: Tensor) -> Out:
        """head(*features(*inputs))."""
        return self.head(*self.features(*inputs))

    @abstractmethod
    def loss(self, output: Out, labels: Tensor) -> Tensor:
        """The loss, a mean over the batch.

        labels: int64 (B,), or, where several classes may show at once (action units), float
        (B, classes) of 0 and 1.
        """

    @abstractmethod
    def scores(self, output: Out) -> Tensor:
        """(B, classes): the highest is the prediction."""

    def shown(self, output: Out) -> Tensor:
        """(B, classes), in [0, 1]: each class by itself, where several may show at once.

        NotImplementedError of a network that tells one class of a clip alone.
        """
        raise NotImplementedError(f"{type(self).__name__} tells one class of a clip")

    @abstractmethod
    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """For each input the module whose feature map (B, C, h, w) a heat map weighs.

        None: the input's own pixels are weighed.
        """


def logits_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits (B, classes): of one class each, or of each class by itself.

    labels: as for Network.loss. weight: of each class (classes,), where one is meant.
    """
    if labels.ndim == 2:
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.cross_entropy(logits, labels, weight=weight)


def class_output(output: Output) -> Tensor:
    """The part (B, classes) of what a network puts out."""
    return output if isinstance(output, Tensor) else output[0]
