"""Masks drawn over pictures: the background stays, each class has a colour of its own."""

import numpy as np

from darkroom.images import Decoded, class_colours, difference, overlay, upright_photo


def test_the_background_stays_and_classes_are_mixed_in():
    picture = np.full((1, 3, 3), 100, np.uint8)
    found = overlay(picture, np.array([[0, 1, 255]], np.uint8))
    colours = class_colours(2).astype(int)
    assert found[0, 0].tolist() == [100, 100, 100]
    assert found[0, 1].tolist() == np.rint((100 + colours[1]) / 2).astype(int).tolist()
    assert found[0, 2].tolist() == [114, 114, 114]


def test_grey_pictures_become_rgb_and_batches_go_at_once():
    pictures = np.zeros((2, 4, 5, 1), np.uint8)
    masks = np.ones((2, 4, 5), np.uint8)
    assert overlay(pictures, masks).shape == (2, 4, 5, 3)
    assert np.array_equal(overlay(pictures, masks, opacity=1.0)[0, 0, 0], class_colours(2)[1])


def test_no_two_of_many_classes_share_a_colour():
    colours = class_colours(60)[:60]
    assert len({tuple(colour) for colour in colours.tolist()}) == 60


def test_where_answers_differ_is_bright_on_a_dark_picture():
    picture = np.full((1, 4, 3), 200, np.uint8)
    found = difference(picture, np.array([[0, 1, 255, 2]], np.uint8), np.array([[0, 2, 1, 2]], np.uint8))
    assert found[0, 0].tolist() == found[0, 3].tolist() == [70, 70, 70]
    assert found[0, 1].tolist() == [255, 225, 60]
    assert found[0, 2].tolist() == [128, 128, 128]


def test_a_photo_is_upright_rgb_without_transparency():
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (250, 10, 20, 255)
    shown = upright_photo(Decoded.from_pixels(pixels, orientation=6))
    assert shown.shape == (3, 2, 3)
    assert shown[0, 1].tolist() == [250, 10, 20]
    assert shown[2, 0].tolist() == [255, 255, 255]
