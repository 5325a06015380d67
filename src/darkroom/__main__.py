"""`python -m darkroom` is the command `darkroom`."""

import sys

from darkroom.cli import main

sys.exit(main())
