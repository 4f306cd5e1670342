"""Numbers that belong to an image: uniform, and the same in whatever batch."""

import pytest
import torch

from gacsnn import draws


def drawn(keys: list[int], shape: tuple[int, ...] = (3, 4), purpose: int = draws.POISSON) -> torch.Tensor:
    with draws.keyed(torch.tensor(keys, dtype=torch.long)):
        return draws.uniform(shape, purpose)


def test_an_images_numbers_do_not_depend_on_its_batch() -> None:
    whole = drawn([5, 2**61, 7])
    assert torch.equal(whole[1:2], drawn([2**61]))
    assert torch.equal(whole[[2, 0]], drawn([7, 5]))
    assert not torch.equal(whole[0], drawn([5], purpose=draws.DROPOUT)[0])
    assert drawn([]).shape == (0, 3, 4)


def test_they_are_those_of_splitmix64() -> None:
    """By Python's own integers."""
    mask = 2**64 - 1

    def mixed(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return x ^ (x >> 31)

    key = 0x0123456789ABCDEF
    start = mixed(key + draws.STEP * draws.POISSON & mask)
    expected = [(mixed(start + place * draws.STEP & mask) >> 40) / 2**24 for place in range(1, 13)]
    assert drawn([key]).flatten().tolist() == expected


def test_they_are_uniform_and_neighbours_are_unlike() -> None:
    numbers = drawn(list(range(2000)), (50,)).double()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = torch.histc(numbers.flatten(), 100, 0, 1)
    assert ((counts - 1000).square() / 1000).sum() < 99 + 5 * (2 * 99) ** 0.5
    assert torch.corrcoef(numbers.T).fill_diagonal_(0).abs().max() < 0.12
    assert torch.corrcoef(numbers[:200]).fill_diagonal_(0).abs().max() < 0.75


def test_without_keys_there_are_none() -> None:
    assert not draws.by_key()
    with draws.keyed(torch.tensor([1])):
        assert draws.by_key()
        with draws.keyed(None):
            assert not draws.by_key()
    with pytest.raises(AssertionError):
        draws.uniform((2,), draws.POISSON)
