"""A dataset version under another contract: the same pictures, labels and splits, in another size."""

from __future__ import annotations

from darkroom.datasets.frozen import _content_id
from darkroom.errors import Conflict, Frozen
from darkroom.records import Contract, DatasetVersion, now
from darkroom.workspace import Workspace

__all__ = ["under_contract"]

TRIES = 5


def under_contract(workspace: Workspace, version: DatasetVersion, contract: Contract) -> DatasetVersion:
    """Returns a version with the members of another one under a contract; the same one each time.

    It is called after the other one and its size, "digits-48x48", so that "digits" goes on to mean what it
    meant.

    Args:
        workspace: the project.
        version: whose members.
        contract: what makes their tensors.

    Raises:
        Conflict: other processes take every number.
    """
    if contract == version.contract:
        return version
    catalogue = workspace.catalogue.datasets
    members = list(catalogue.members(version.ref))
    content = _content_id(version.task, version.classes, contract, members)
    name = f"{version.name}-{contract.width_px}x{contract.height_px}"
    for _ in range(TRIES):
        versions = [one for one in catalogue.list() if one.name == name]
        same = next((one for one in versions if one.id == content and not one.forgotten), None)
        if same is not None:
            return same
        made = version.model_copy(
            update={
                "name": name,
                "version": max((one.version for one in versions), default=0) + 1,
                "id": content,
                "contract": contract,
                "lineage": version.lineage.model_copy(update={"parent": version.ref}),
                "forgotten": 0,
                "created_at": now(),
            }
        )
        try:
            return catalogue.freeze(made, members)
        except Frozen:
            continue  # another process took this number in between
    raise Conflict(
        "dataset.too-many-variants",
        "Dataset {name} is being frozen elsewhere.",
        do="Wait until the other one has ended, then: darkroom run",
        name=name,
    )
