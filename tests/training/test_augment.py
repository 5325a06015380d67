"""Augmentation: each change does what its name says, on whole batches, and is decided by the generator."""

import numpy as np
import pytest
import torch

from darkroom.records import Normalisation
from darkroom.training import Augment
from darkroom.training.augment import Augmenter, Draws, preview, warp

CPU = torch.device("cpu")
PLAIN = {
    1: Normalisation(mean=(0.0,), std=(1 / 255,)),
    3: Normalisation(mean=(0.0,) * 3, std=(1 / 255,) * 3),
}


def pictures(count=4, height=12, width=12, channels=1, seed=0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (count, channels, height, width))).float()


def augmented(values, augment, seed=0, normalisation=None):
    count, channels, height, width = values.shape
    augmenter = Augmenter(augment, (height, width, channels), normalisation or PLAIN[channels], CPU)
    generator = torch.Generator().manual_seed(seed)
    return augmenter.apply(values, augmenter.draw(count, generator), generator)


def warped(values, theta, **options):
    count, channels, height, width = values.shape
    augmenter = Augmenter(Augment(), (height, width, channels), PLAIN[channels], CPU)
    return warp(values, torch.tensor([theta] * count), augmenter.grid, **options)


def turning(degrees, height, width):
    """Returns theta for a fixed angle, made as the augmenter makes it."""
    augmenter = Augmenter(Augment(rotate_deg=degrees), (height, width, 1), PLAIN[1], CPU)
    thetas = augmenter.draw(4000, torch.Generator().manual_seed(0)).theta
    return thetas[thetas[:, 0, 0].argmin()].tolist()  # the largest angle drawn


def test_nothing_chosen_changes_nothing():
    values = pictures()
    assert torch.equal(augmented(values, Augment()), values)


def test_a_warp_by_nothing_gives_the_picture_back():
    values = pictures()
    torch.testing.assert_close(warped(values, [[1.0, 0, 0], [0, 1.0, 0]]), values, atol=1e-3, rtol=0)


def test_a_mirrored_picture_is_the_picture_mirrored():
    values = pictures(64)
    got = augmented(values, Augment(flip="horizontal"))
    mirrored = [torch.allclose(g, v.flip(2), atol=1e-2) for g, v in zip(got, values, strict=True)]
    same = [torch.allclose(g, v, atol=1e-2) for g, v in zip(got, values, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert 15 < sum(mirrored) < 49


def test_vertical_and_both_turn_pictures_upside_down():
    values = pictures(64)
    upside_down = [
        torch.allclose(g, v.flip(1), atol=1e-2)
        for g, v in zip(augmented(values, Augment(flip="vertical")), values, strict=True)
    ]
    assert 15 < sum(upside_down) < 49
    half_turned = [
        torch.allclose(g, v.flip(1, 2), atol=1e-2)
        for g, v in zip(augmented(values, Augment(flip="both")), values, strict=True)
    ]
    assert 4 < sum(half_turned) < 32


def test_a_quarter_turn_is_numpys_quarter_turn():
    values = pictures()
    got = warped(values, [[0.0, -1, 0], [1, 0.0, 0]])
    torch.testing.assert_close(got, torch.rot90(values, 1, (2, 3)), atol=1e-2, rtol=0)


def test_a_turn_keeps_shapes_in_pixels_when_the_picture_is_not_square():
    (a, b, _), (c, d, _) = turning(60, height=20, width=50)
    to_pixels = np.array([[50 / 2, 0], [0, 20 / 2]])
    matrix = to_pixels @ np.array([[a, b], [c, d]]) @ np.linalg.inv(to_pixels)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-5)  # a pure turn, no shear
    assert np.degrees(np.arccos(matrix[0, 0])) == pytest.approx(60, abs=0.5)


def test_a_shift_moves_whole_pixels_and_the_edge_comes_in():
    values = pictures(width=10, height=10)
    got = warped(values, [[1.0, 0, 2 * 3 / 10], [0, 1.0, 0]])
    torch.testing.assert_close(got[..., :7], values[..., 3:], atol=1e-2, rtol=0)
    torch.testing.assert_close(got[..., 7:], values[..., 9:].expand(-1, -1, -1, 3), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("edge", "column"),
    [("edge", lambda v: v[..., 9]), ("mirror", lambda v: v[..., 8]), ("mean", lambda v: 0 * v[..., 0])],
)
def test_what_comes_in_from_outside_is_as_said(edge, column):
    values = pictures(width=10, height=10)
    got = warped(values, [[1.0, 0, 2 * 2 / 10], [0, 1.0, 0]], edge=edge)
    torch.testing.assert_close(got[..., 9], column(values), atol=1e-2, rtol=0)


def test_amounts_stay_within_what_was_said():
    augmenter = Augmenter(Augment(zoom=0.5, shift=0.2), (12, 12, 1), PLAIN[1], CPU)
    theta = augmenter.draw(5000, torch.Generator().manual_seed(0)).theta
    assert 1 / 1.5 <= theta[:, 0, 0].min() < 0.68
    assert 1.48 < theta[:, 0, 0].max() <= 1.5
    assert 0.39 < theta[:, 0, 2].abs().max() <= 0.4  # a fifth of a side that is 2 long
    assert torch.equal(theta[:, 0, 0], theta[:, 1, 1])


def test_a_crop_never_looks_outside_the_picture():
    augmenter = Augmenter(Augment(crop=0.6), (12, 12, 1), PLAIN[1], CPU)
    theta = augmenter.draw(5000, torch.Generator().manual_seed(0)).theta
    reach = theta[:, :, 2].abs() + theta[:, :, :2].abs().sum(2)
    assert reach.max() <= 1 + 1e-6
    assert 0.4 <= theta[:, 0, 0].min() < 0.42


def test_a_mask_goes_through_the_same_warp_as_its_picture():
    values = pictures(3, channels=1)
    mask = (values > 127.5).float()
    augmenter = Augmenter(Augment(flip="both"), (12, 12, 1), PLAIN[1], CPU)
    draws = augmenter.draw(3, torch.Generator().manual_seed(1))
    moved = warp(values, draws.theta, augmenter.grid)
    moved_mask = warp(mask, draws.theta, augmenter.grid, mode="nearest")
    assert torch.equal(moved_mask, (moved > 127.5).float())


@pytest.mark.parametrize("channels", [1, 3])
def test_inversion_swaps_light_and_dark(channels):
    values = pictures(channels=channels)
    torch.testing.assert_close(augmented(values, Augment(invert=1.0)), 255 - values)


def test_inversion_touches_the_share_that_was_said():
    values = pictures(2000, 4, 4)
    changed = (augmented(values, Augment(invert=0.3)) != values).flatten(1).any(1)
    assert 0.26 < changed.float().mean() < 0.34


def test_brightness_adds_the_same_to_each_value_and_stays_in_range():
    values = torch.full((500, 1, 4, 4), 100.0)
    got = augmented(values, Augment(brightness=0.5))
    assert torch.equal(got, got[:, :, :1, :1].expand_as(got))
    assert got.min() == 0
    assert 220 < got.max() <= 227.5
    assert augmented(values + 155, Augment(brightness=0.5)).max() == 255


def test_contrast_leaves_middle_grey_alone():
    values = torch.tensor([127.5, 77.5, 177.5]).view(1, 1, 1, 3).expand(500, 1, 1, 3)
    got = augmented(values, Augment(contrast=0.4))
    torch.testing.assert_close(got[..., 0], values[..., 0])
    assert 67 < (got[..., 2] - 127.5).max() <= 70.01
    assert 29.99 <= (got[..., 2] - 127.5).min() < 33


@pytest.mark.parametrize("augment", [Augment(saturation=1.0), Augment(hue_deg=180.0)])
def test_saturation_and_hue_leave_grey_alone_and_change_colours(augment):
    grey = torch.full((50, 3, 2, 2), 90.0)
    torch.testing.assert_close(augmented(grey, augment), grey, atol=1e-2, rtol=0)
    red = grey + torch.tensor([60.0, 0, 0]).view(3, 1, 1)
    assert (augmented(red, augment) - red).abs().amax((1, 2, 3)).median() > 10


def test_hue_turns_red_into_green_at_120_degrees():
    augmenter = Augmenter(Augment(hue_deg=120.0), (1, 1, 3), PLAIN[3], CPU)
    colours = augmenter.draw(4000, torch.Generator().manual_seed(0)).colour
    red = torch.tensor([200.0, 50, 50, 1])
    turned = colours @ red
    assert torch.isclose(turned, torch.tensor([50.0, 200, 50]), atol=2).all(1).any()
    assert torch.isclose(turned, torch.tensor([50.0, 50, 200]), atol=2).all(1).any()


def test_saturation_and_hue_are_nothing_to_grey_pictures():
    values = pictures()
    assert torch.equal(augmented(values, Augment(saturation=1.0, hue_deg=90.0)), values)


def test_noise_has_the_deviation_that_was_said():
    values = torch.full((50, 3, 20, 20), 127.5)
    got = augmented(values, Augment(noise=0.1))
    assert (got - values).std().item() == pytest.approx(25.5, rel=0.02)
    assert (got - values).mean().abs().item() < 0.5


def test_changes_do_not_depend_on_the_normalisation():
    augment = Augment(
        rotate_deg=20, zoom=0.2, brightness=0.2, contrast=0.3, saturation=0.5, hue_deg=30, invert=0.5
    )
    normalisation = Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    mean, std = (torch.tensor(n).view(3, 1, 1) for n in (normalisation.mean, normalisation.std))
    values = pictures(6, channels=3)
    got = augmented((values / 255 - mean) / std, augment, normalisation=normalisation)
    expected = augmented(values, augment)
    torch.testing.assert_close((got * std + mean) * 255, expected, atol=0.05, rtol=0)


def test_the_generator_decides():
    augment = Augment(rotate_deg=20, brightness=0.2, noise=0.1)
    values = pictures()
    assert torch.equal(augmented(values, augment, seed=1), augmented(values, augment, seed=1))
    assert not torch.equal(augmented(values, augment, seed=1), augmented(values, augment, seed=2))


def test_what_is_drawn_for_a_picture_does_not_depend_on_the_batch():
    augmenter = Augmenter(Augment(rotate_deg=20, contrast=0.2), (12, 12, 1), PLAIN[1], CPU)
    draws = augmenter.draw(10, torch.Generator().manual_seed(0))
    values, none = pictures(10), torch.Generator()
    at_once = augmenter.apply(values, draws, none)
    parts = [augmenter.apply(values[i : i + 3], draws.part(i, i + 3), none) for i in range(0, 10, 3)]
    torch.testing.assert_close(torch.cat(parts), at_once, rtol=0, atol=5e-4)  # of 0..255: a rounding


def test_nothing_drawn_is_nothing():
    draws = Augmenter(Augment(noise=0.1), (12, 12, 1), PLAIN[1], CPU).draw(5, torch.Generator())
    assert draws == Draws(None, None)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_preview_shows_each_picture_as_it_is_and_then_changed(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 30, 20, channels), np.uint8)
    sheet = preview(images, Augment(rotate_deg=30, edge="mean"), seed=1, columns=4)
    factor = 2  # 20 px are shown twice as large
    assert sheet.dtype == np.uint8
    assert sheet.shape == (3 * (30 * factor + 2), 4 * (20 * factor + 2), channels)
    for row in range(3):
        top = row * 62 + 1
        cell = sheet[top : top + 60, 1:41]
        np.testing.assert_array_equal(cell[::2, ::2], images[row])
        assert not np.array_equal(sheet[top : top + 60, 43:83], cell)
