"""A process of its own that appends annotations and says each time what was acknowledged."""

from __future__ import annotations

import sys

from darkroom.catalogue import Catalogue
from tests.conformance.examples import event


def main(url: str, name: str, count: int, images: int) -> None:
    with Catalogue.open(url, create=True) as catalogue:
        for number in range(count):
            sent = [
                event((number + place) % images, name, key=f"{name}-{number}-{place}") for place in range(3)
            ]
            written = catalogue.annotations.append(sent)
            print(*(f"{one.key}={one.sequence}" for one in written), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
