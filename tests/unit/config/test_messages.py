"""A wrong value is said in one line that names its option."""

import pytest
from program import config

from gacsnn.errors import InputError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["T=0"], "T=0: should be greater than or equal to 1"),
        (["T=six"], "T=six: should be a valid integer"),
        (["T=[2,4]"], "T=[2,4]: should be one value; a grid of them is -m T=2,4"),
        (["T=[2,six]"], "T=[2,six]: should be one value; a grid of them is -m T=2,six"),
        (
            ["optimizer.lr=[0.1,0.2]"],
            "optimizer.lr=[0.1,0.2]: should be one value; a grid of them is -m optimizer.lr=0.1,0.2",
        ),
        (
            ["hardware.workers=[1,2]"],
            "hardware.workers=[1,2]: should be one value; a grid of them is -m hardware.workers=1,2",
        ),
        (["hardware.kernels=[plain,auto]"], "a grid of them is -m hardware.kernels=plain,auto"),
        (["plan=[true,false]"], "plan=[true,false]: should be one value; a grid of them is -m plan=true,false"),
        (["optimizer.betas=[0.9]"], "optimizer.betas=[0.9]: should have at least 2 items"),
        (["output_dir=1_000"], "output_dir=1000: should be text; put the value in quotes"),
        (["dataset=image_folder", "dataset.root=null"], "dataset.root=null: should be text; put the value in quotes"),
        (["study=true"], "study=true: should be text; put the value in quotes"),
        (["T=4.5"], "T=4.5: should be a valid integer"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: should be greater than 0"),
        (["optimizer.lr=.nan"], "optimizer.lr=.nan"),
        (["batch_size=0"], "batch_size=0"),
        (["epochs=0"], "epochs=0"),
        (["seed=-1"], "seed=-1"),
        (["dataset.validation=1"], "dataset.validation=1: should be less than 1"),
        (["hardware.device=tpu"], "hardware.device=tpu: should be 'auto', 'cpu' or 'cuda'"),
        (["+model.wdith=2"], "model.wdith: no such option, did you mean model.width?"),
        (["~model"], "model: this option is missing"),
        (["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], "nesterov=true needs momentum > 0"),
        (["augmentation=cutmix", "augmentation.mixup_probability=0.6"], "a batch is mixed one way"),
        (["dataset=cifar10", "dataset.std=[0,1,1]"], "dataset.std=[0, 1, 1]: each must be greater than 0"),
        (["dataset=image_folder", "dataset.size=64", "dataset.resize=32"], "resize=32 must be at least size=64"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config(*overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
