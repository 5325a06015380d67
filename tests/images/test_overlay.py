"""Masks drawn over pictures: the background stays, each class has a colour of its own."""

import numpy as np

from darkroom.images import class_colours, overlay


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
