"""Datasets of masks: counted when frozen, rendered with their pictures, bad ones refused in words."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from darkroom.datasets import explore, freeze, render
from darkroom.datasets import shards as shards_module
from darkroom.errors import Damaged, Invalid, InvalidLabel
from darkroom.images.transform import transform_of
from darkroom.records import AnnotationEvent, Author, Contract, MaskLabel, now
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.datasets.projects import add, project
from tests.formats.pictures import mask_png, png

WIDTH, HEIGHT = 23, 14
CONTRACT = Contract(width_px=8, height_px=8, resize="fill")


def masked(folder: Path, masks: list[np.ndarray | bytes | None], classes: str = "sky\nroad\nsea\n") -> Path:
    """Writes pictures with their masks; None leaves one without."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        (folder / "images" / f"{number}.png").write_bytes(png(number, WIDTH, HEIGHT))
        if mask is not None:
            data = mask if isinstance(mask, bytes) else mask_png(mask)
            (folder / "masks" / f"{number}.png").write_bytes(data)
    (folder / "classes.txt").write_text(classes)
    return folder


def random_mask(seed: int, most: int = 2) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, most + 1, (HEIGHT, WIDTH), np.uint8)
    found[0, seed % WIDTH] = 255
    return found


def taken_in(folder: Path, masks: list, classes: str = "sky\nroad\nsea\n") -> Workspace:
    workspace = project(folder)
    masked(folder / "pictures", masks, classes)
    scan_folder(workspace, add(workspace, "pictures", format="png-masks"))
    return workspace


@pytest.fixture
def street(tmp_path: Path) -> Workspace:
    return taken_in(tmp_path, [random_mask(seed) for seed in range(12)])


def masks_by_picture(workspace: Workspace, version) -> dict[str, np.ndarray]:
    members = workspace.catalogue.datasets.members(version.ref)
    return {
        one.image_id: np.asarray(Image.open(io.BytesIO(workspace.blobs.get(one.label)))) for one in members
    }


@pytest.mark.parametrize("resize", ["squash", "crop", "fill", "half_crop"])
@pytest.mark.parametrize("size", [(8, 8), (9, 21), (40, 30)])
def test_a_mask_goes_through_the_geometry_of_its_picture(street: Workspace, resize, size) -> None:
    contract = Contract(width_px=size[0], height_px=size[1], resize=resize)
    version = freeze(street, name="street", task="segmentation", contract=contract)
    split, original = render(street, version).split("train"), masks_by_picture(street, version)
    masks = split.gather_masks(np.arange(len(split)))
    assert masks.dtype == np.uint8
    way = transform_of(WIDTH, HEIGHT, contract)
    left, top, right, bottom = way.tensor_box
    for image_id, mask in zip(split.image_ids, masks, strict=True):
        for y, x in np.ndindex(mask.shape):
            if left <= x < right and top <= y < bottom:
                column, row = (math.floor(place) for place in way.to_original(x + 0.5, y + 0.5))
                assert mask[y, x] == original[image_id][row, column]
            else:
                assert mask[y, x] == 255
    assert (masks == 255).any()


def test_a_turned_photo_and_its_upright_mask_stay_together(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = masked(tmp_path / "pictures", [random_mask(seed) for seed in range(5)])
    for number in range(5):
        mask = random_mask(number)
        pixels = np.where(mask[..., None] == 1, 255, 0).repeat(3, 2).astype(np.uint8)
        turned = Image.fromarray(
            np.rot90(pixels)
        )  # laid on its side; orientation 6 says how to stand it up
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.save(folder / "images" / f"{number}.png", exif=exif)
    scan_folder(workspace, add(workspace, "pictures", format="png-masks"))
    contract = Contract(width_px=WIDTH, height_px=HEIGHT)
    version = freeze(workspace, name="street", task="segmentation", contract=contract)
    split = render(workspace, version).split("train")
    everything = np.arange(len(split))
    assert np.array_equal(split.gather(everything)[..., 0] == 255, split.gather_masks(everything) == 1)


def test_masks_are_gathered_in_any_order_into_a_buffer(street: Workspace, monkeypatch) -> None:
    monkeypatch.setattr(
        shards_module.Shards.__init__, "__kwdefaults__", {"batch_bytes": 600, "shard_bytes": 1200}
    )
    version = freeze(street, name="street", task="segmentation", contract=CONTRACT)
    split = render(street, version).split("train")
    whole = split.gather_masks(np.arange(len(split)))
    wanted = np.array([5, 0, 0, 3])
    buffer = np.zeros((4, 8, 8), np.uint8)
    assert split.gather_masks(wanted, out=buffer) is buffer
    assert np.array_equal(buffer, whole[wanted])
    assert split.labels.shape == (0,)
    with pytest.raises(Invalid, match="Expected a buffer"):
        split.gather_masks(wanted, out=np.zeros((4, 8, 8, 3), np.uint8))
    with pytest.raises(Invalid, match="asked for number"):
        split.gather_masks(np.array([99]))


def test_a_rendering_of_masks_is_whole_by_checksum_and_read_by_other_tools(street: Workspace) -> None:
    version = freeze(street, name="street", task="segmentation", contract=CONTRACT)
    rendering = render(street, version)
    path = next(rendering.folder.glob("train-*.arrow"))
    table = pa.ipc.open_file(path).read_all()
    assert table.column_names == ["image_id", "label", "group", "pixels", "mask"]
    facts = rendering._manifest.of_split("train")[0]
    assert shards_module.checksum(path) == facts.checksum
    data = bytearray(path.read_bytes())
    first = rendering.split("train").gather_masks(np.arange(1)).tobytes()
    place = data.index(first)
    data[place] ^= 1
    path.write_bytes(data)
    assert shards_module.checksum(path) != facts.checksum


def test_a_dataset_of_classes_has_no_masks(tmp_path: Path) -> None:
    from tests.datasets.projects import scanned

    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    split = render(workspace, freeze(workspace, name="pets", contract=CONTRACT)).split("train")
    with pytest.raises(Invalid, match="it has no masks"):
        split.gather_masks(np.arange(1))


def test_pictures_and_pixels_of_each_class_are_counted_on_the_originals(street: Workspace) -> None:
    version = freeze(street, name="street", task="segmentation", contract=CONTRACT)
    assert sum(version.counts.values()) == 12
    for split in version.counts:
        members = list(street.catalogue.datasets.members(version.ref, split))
        masks = np.stack([masks_by_picture(street, version)[one.image_id] for one in members])
        for index, name in enumerate(version.classes):
            assert version.pixels[split][name] == int((masks == index).sum())
            assert version.histogram[split][name] == int((masks == index).any((1, 2)).sum())


def test_rare_and_absent_classes_are_said(tmp_path: Path) -> None:
    masks = [np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(10)]
    for mask in masks:
        mask[:7] = 1
    for mask in masks:
        mask[8, 8] = 2  # one pixel each
    workspace = taken_in(tmp_path, masks, "sky\nroad\npole\nsea\n")
    version = freeze(workspace, name="street", task="segmentation", contract=CONTRACT)
    facts = explore(workspace, version).facts
    assert "No picture of sea in train." in facts.balance
    assert any(one.startswith("Fewer than 100 pixels in test: pole (2)") for one in facts.balance)
    by_name = {one.label: one for one in facts.classes}
    assert by_name["pole"].share == pytest.approx(10 / (10 * HEIGHT * WIDTH))
    assert by_name["sea"].examples == ()


def test_where_a_class_lies_is_drawn(street: Workspace) -> None:
    version = freeze(street, name="street", task="segmentation", contract=CONTRACT)
    found = explore(street, version)
    rendering = render(street, version)
    masks = np.concatenate(
        [rendering.split(split).gather_masks(np.arange(count)) for split, count in version.counts.items()]
    )
    expected = np.rint(255 * (masks == 1).mean(0))
    assert np.array_equal(found.means["road"][..., 0], expected)


def test_a_picture_without_a_mask_stays_unlabelled_and_is_counted(tmp_path: Path) -> None:
    workspace = taken_in(tmp_path, [*(random_mask(seed) for seed in range(8)), None, None])
    version = freeze(workspace, name="street", task="segmentation", contract=CONTRACT)
    assert sum(version.counts.values()) == 8
    assert version.lineage.left_out == {"unlabelled": 2}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros((WIDTH, HEIGHT), np.uint8), "masks.size"),
        (np.full((HEIGHT, WIDTH), 7, np.uint8), "masks.unknown-value"),
        (png(3, WIDTH, HEIGHT), "masks.colour"),
        (b"no picture", "masks.undecodable"),
    ],
    ids=["size", "value", "colour", "broken"],
)
def test_a_bad_mask_goes_into_quarantine_and_the_rest_goes_on(tmp_path: Path, bad, reason: str) -> None:
    workspace = taken_in(tmp_path, [*(random_mask(seed) for seed in range(8)), bad])
    aside = workspace.catalogue.quarantine.of_source("s-1")
    assert [(one.path, one.reason) for one in aside] == [("masks/8.png", reason)]
    version = freeze(workspace, name="street", task="segmentation", contract=CONTRACT)
    assert sum(version.counts.values()) == 8


def say_mask(workspace: Workspace, mask: np.ndarray) -> None:
    """Puts a mask into the log past all readers, as a script might."""
    image_id = next(iter(workspace.catalogue.images.ids()))
    value = MaskLabel(blob=workspace.blobs.put(mask_png(mask)), classes=("sky", "road", "sea"))
    event = AnnotationEvent(
        id="01J00000000000000000000000",
        key="k",
        image_id=image_id,
        slot="mask",
        value=value,
        author=Author(kind="script", name="mine"),
        at=now(),
    )
    workspace.catalogue.annotations.append([event])


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((3, 4), np.uint8), r"is 4×3; the picture is 23×14"),
        (np.full((HEIGHT, WIDTH), 9, np.uint8), r"holds 9; the classes go from 0 to 2"),
    ],
)
def test_a_mask_that_slipped_past_the_readers_is_refused_when_frozen(street, mask, said: str) -> None:
    say_mask(street, mask)
    with pytest.raises(InvalidLabel, match=said):
        freeze(street, name="street", task="segmentation", contract=CONTRACT)
    assert street.catalogue.datasets.list() == []


def test_masks_that_all_show_one_class_teach_nothing(tmp_path: Path) -> None:
    workspace = taken_in(tmp_path, [np.zeros((HEIGHT, WIDTH), np.uint8)] * 6)
    with pytest.raises(Invalid, match="show 'sky' alone"):
        freeze(workspace, name="street", task="segmentation", contract=CONTRACT)


def test_a_blob_that_was_changed_is_damage_and_not_a_label(street: Workspace) -> None:
    version = freeze(street, name="street", task="segmentation", contract=CONTRACT)
    member = next(street.catalogue.datasets.members(version.ref, "train"))
    Path(street.blobs.path(member.label)).write_bytes(mask_png(random_mask(77)))
    with pytest.raises(Damaged, match="does not hold the bytes"):
        render(street, version)


def test_masks_that_are_frozen_for_classes_are_told_apart(street: Workspace) -> None:
    with pytest.raises(Invalid, match="are for segmentation") as caught:
        freeze(street, name="street", contract=CONTRACT)
    assert "--task segmentation" in caught.value.hint
