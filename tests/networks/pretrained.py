"""Files of weights for the tests: the real ones with their facts beside them, and small ones made here."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from darkroom.networks import build

REAL = {
    "mobilenetv1_025.tf_in1k": ("mobilenetv1_025", 1000),
    "mobilenetv1_075.keras_in1k": ("mobilenetv1_075", 1000),
    "mobilenetv2_035.keras_in1k_features": ("mobilenetv2_035", 0),
    "mobilenetv2_100.tf2_ptq_dequant_in1k": ("mobilenetv2_100", 1000),
}
"""Name, network and classes of the real files."""

NOTES = """\
network = "{network}"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
input_px = 224
padding = "same"
licence = "Apache-2.0"
source = "TensorFlow, ImageNet-1k"
classes = {classes}
"""


def with_notes(folder: Path, shared_data: Path) -> Path:
    """Returns a folder with links to the real files, and a TOML beside each."""
    folder.mkdir(exist_ok=True)
    for name, (network, classes) in REAL.items():
        (folder / f"{name}.safetensors").symlink_to(shared_data / "weights" / f"{name}.safetensors")
        (folder / f"{name}.toml").write_text(NOTES.format(network=network, classes=classes))
    return folder


def made(folder: Path, name: str = "mobilenetv1_025.made", *, classes: int = 7, seed: int = 1) -> Path:
    """Writes weights of a MobileNetV1 of a quarter's width as timm names them, with a TOML beside them."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    network = build("mobilenetv1_025", channels=3, size=(64, 64), classes=classes)
    tensors = dict(network.body.state_dict())
    tensors |= {f"classifier.{key}": weight for key, weight in network.head.state_dict().items()}
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    (folder / f"{name}.toml").write_text(NOTES.format(network="mobilenetv1_025", classes=classes))
    return path
