"""What a training step keeps for its backward pass and moves through memory, counted: the same on any machine."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

# Operations that only look at a tensor another way, or give room for one.
VIEWS = {
    *("view", "_unsafe_view", "expand", "as_strided", "select", "slice", "transpose", "permute", "t"),
    *("detach", "alias", "unsqueeze", "squeeze", "unbind", "split", "unflatten"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
}
CONVOLUTIONS = {"convolution", "convolution_backward", "mkldnn_convolution", "cudnn_convolution"}


def saved_bytes(model: nn.Module, images: Tensor, forward: Any) -> int:
    """Bytes of the tensors that autograd keeps of a forward pass, beside the weights; what shares memory counts once."""
    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    held: dict[int, Any] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage  # which is not freed meanwhile, so that no other has its place
        return x.detach()  # what an operation gives, and keeps, would keep the operation

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        kept = forward(images)
    total = sum(storage.nbytes() for storage in held.values())
    del kept
    return total


class Moved(TorchDispatchMode):
    """Operations while the context lasts, and the bytes that they read and write: each tensor that they take or give, once.

    Of convolutions the bytes are left out. Kernels of ours are no operations of torch's: `watched` has them counted here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.add(*(() if name in CONVOLUTIONS else (args, kwargs, made)))
        return made

    def add(self, *values: Any) -> None:
        """Count an operation and the tensors among these; an expanded one is as large as its memory."""
        self.operations += 1
        for x in tree_iter(values):
            if isinstance(x, Tensor):
                self.bytes += min(x.numel() * x.element_size(), x.untyped_storage().nbytes())

    def watched(self, kernels: Any) -> "Watched":
        return Watched(kernels, self)


class Watched:
    """Kernels whose calls are counted."""

    FUNCTIONS = ("statistics", "norm", "lif", "lif_backward", "sums", "gradients", "affine", "gate", "gate_backward")

    def __init__(self, kernels: Any, moved: Moved) -> None:
        self.kernels, self.moved = kernels, moved

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.kernels, name)
        if name not in self.FUNCTIONS:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            made = found(*args, **kwargs)
            self.moved.add(args, kwargs, made)
            return made

        return call
