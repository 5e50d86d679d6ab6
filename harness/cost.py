"""What a method costs: parameters, multiply-adds and activations for one image, counted without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from harness.labels import LabelMap, LabelSpec
from harness.training.memory import record_notes
from harness.training.networks import construct, z_dim_of

# Containers that are no layer of their own: what they hold stands in their place.
_LISTS = (nn.ModuleList, nn.ModuleDict)
REST = "(rest)"
_Counted = dict[nn.Module | None, tuple[int, int]]


@dataclass(frozen=True)
class Block:
    """A part of a generator. name: as in its state dict, or REST for what lies in no block. kind: its class.

    parameters: weights trained, a shared one counted where it comes first. multiply_adds: of the
    convolutions and matrix products for one image. activations: elements of the outputs of the same.
    """

    name: str
    kind: str
    parameters: int
    multiply_adds: int
    activations: int


@dataclass(frozen=True)
class Cost:
    """generator: the whole. blocks: its parts, which add up to it. discriminator, encoder: parameters, or None.

    notes: what the generator says of itself, of its count too.
    """

    generator: Block
    blocks: tuple[Block, ...]
    discriminator: int | None
    encoder: int | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values."""
        return asdict(self)


def generator_cost(config: Mapping[str, Any], spec: LabelSpec) -> dict[str, int]:
    """`parameters` and `multiply_adds` (convolutions and matrix products) of a cell's generator at its size."""
    generator = method_cost(config, spec).generator
    return {"parameters": generator.parameters, "multiply_adds": generator.multiply_adds}


def method_cost(config: Mapping[str, Any], spec: LabelSpec, depth: int = 1) -> Cost:
    """What the networks of a resolved cell config cost, for one image of the suite's size.

    depth: 1 has one block for each child of the generator, 2 one for each child of those, and so on; a
    lone child and lists of modules are looked into. A generator whose forward needs more than label maps
    and z offers `cost_forward(labels, z)`: a forward that costs what one image costs.
    Counted in eval mode, in which spectral norm's matrix-vector products are a fixed part of the
    weights: they do not depend on the image and are left out, as are norms and element-wise operations.
    """
    # Fake tensors have shapes and a device but no memory: full sizes are counted in seconds.
    with FakeTensorMode():
        networks = construct(config, spec)
        generator = networks.generator.eval()
        counted = _count(generator, spec, _size(config))
        return Cost(
            generator=_block("generator", generator, dict.fromkeys((*generator.modules(), *counted)), counted, set()),
            blocks=tuple(_blocks(generator, counted, depth)),
            discriminator=_parameters(networks.discriminator),
            encoder=_parameters(networks.encoder),
            notes=record_notes(generator),
        )


def check_networks(config: Mapping[str, Any], spec: LabelSpec) -> None:
    """Raise the UserError of an option that the networks of a resolved cell config cannot have."""
    # Nothing is run: tensors without any values are enough, and four times as fast as fake ones.
    with torch.device("meta"):
        construct(config, spec)


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    return config["suite"]["size"][0], config["suite"]["size"][1]


class _Count(TorchDispatchMode):
    """Books each convolution and matrix product to the innermost module in whose forward it happens."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[nn.Module | None] = [None]
        # Multiply-adds and activations by module; None: outside all.
        self.done: _Counted = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            # The formulas have two operations to a multiply-add.
            products = formula(*args, **(kwargs or {}), out_val=out) // 2
            before = self.done.get(self.inside[-1], (0, 0))
            self.done[self.inside[-1]] = (before[0] + products, before[1] + _elements(out))
        return out

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep `inside` up to date while modules run."""
        hooks = (register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        self.inside.append(module)

    def _leave(self, module: nn.Module, args: Any, out: Any) -> None:
        self.inside.pop()


def _elements(out: Any) -> int:
    """Of a product's output; kernels of attention return more tensors behind it."""
    first = out[0] if isinstance(out, tuple | list) else out
    return first.numel() if isinstance(first, Tensor) else 0


def _count(generator: nn.Module, spec: LabelSpec, size: tuple[int, int]) -> _Counted:
    labels = torch.zeros(1, *size, dtype=torch.int64)
    edges = torch.zeros(1, *size, dtype=torch.bool) if spec.edges else None
    z_dim = z_dim_of(generator)
    z = torch.zeros(1, z_dim) if z_dim else None
    forward: Any = getattr(generator, "cost_forward", generator)
    with _Count() as count, count.watching(), torch.no_grad():
        forward(LabelMap(labels, spec, edges), z)
    return count.done


def _blocks(generator: nn.Module, counted: _Counted, depth: int) -> list[Block]:
    """The blocks that cost anything, and last what lies in none of them."""
    everything = dict.fromkeys((*generator.modules(), *counted))
    seen: set[nn.Parameter] = set()
    blocks = []
    for name, module in _parts(generator, depth, ""):
        inside = [each for each in module.modules() if each in everything]
        blocks.append(_block(name, module, inside, counted, seen))
        for each in inside:
            del everything[each]
    blocks.append(_block(REST, generator, everything, counted, seen))
    return [block for block in blocks if block.parameters or block.multiply_adds]


def _parts(module: nn.Module, depth: int, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of the parts at a depth; a module without children is a part at any depth."""
    children = list(module.named_children())
    heavy = [(name, child) for name, child in children if next(child.parameters(), None) is not None]
    if len(heavy) == 1 and list(heavy[0][1].children()):
        # A network may be one long list of layers, under one name.
        yield from _parts(heavy[0][1], depth, f"{prefix}{heavy[0][0]}.")
        return
    for name, child in children:
        opened = depth - 1 if not isinstance(child, _LISTS) else depth
        if opened and list(child.children()):
            yield from _parts(child, opened, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _block(
    name: str,
    module: nn.Module,
    modules: Iterable[nn.Module | None],
    counted: _Counted,
    seen: set[nn.Parameter],
) -> Block:
    """The sum over `modules`, parameters in `seen` left out; those counted are added to it."""
    parameters = multiply_adds = activations = 0
    for each in modules:
        done = counted.get(each, (0, 0))
        multiply_adds, activations = multiply_adds + done[0], activations + done[1]
        own = [] if each is None else [p for p in each.parameters(recurse=False) if p not in seen]
        parameters += sum(parameter.numel() for parameter in own)
        seen.update(own)
    return Block(name, type(module).__name__, parameters, multiply_adds, activations)


def _parameters(network: nn.Module | None) -> int | None:
    return None if network is None else sum(p.numel() for p in network.parameters())
