"""One table of networks with their facts; build, save, load and run them."""

from darkroom.networks.table import NETWORKS, NetworkEntry, NetworkOption, build, check_input, find

__all__ = ["NETWORKS", "NetworkEntry", "NetworkOption", "build", "check_input", "find"]
