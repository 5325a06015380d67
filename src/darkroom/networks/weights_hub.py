"""Fetch published weights by timm's name; they stay in the hub's cache on this machine."""

from __future__ import annotations

from pathlib import Path

from darkroom.errors import StorageFailed, Unsupported, refused_by_disk
from darkroom.networks.libraries import load_timm
from darkroom.networks.table import NETWORKS, TIMM
from darkroom.networks.weights_file import HUB_FILE, WeightsFacts, digest_of
from darkroom.records import Normalisation

__all__ = ["fetch"]

ANSWER_TIMEOUT_S = 5.0
"""How long the hub may take to say which file it has."""


def fetch(name: str, *, looked: str) -> WeightsFacts | None:
    """Returns published weights, from the cache or the hub; None when timm knows none of that name.

    Args:
        name: "mobilenetv2_100.ra_in1k".
        looked: where weights were looked for before and what is there, in a sentence.

    Raises:
        Unsupported: the hub cannot be reached, or has them only as a pickle.
        StorageFailed: the disk has no room for them, or refuses.
    """
    timm = load_timm()
    if name not in timm.list_pretrained(f"{name.partition('.')[0]}.*"):
        return None
    known = timm.get_pretrained_cfg(name)
    repository = known.hf_hub_id or ""
    if not repository or known.custom_load:
        raise Unsupported(
            "weights.not-safetensors",
            "timm publishes {name} in a form that Darkroom does not read; it reads safetensors only.",
            do="Choose another tag. See: darkroom model networks",
            name=name,
        )
    # A bare "timm/" stands for a repository that is called like the weights.
    path = _download(repository + name if repository.endswith("/") else repository, name, looked)
    network = name.partition(".")[0]
    return WeightsFacts(
        name=name,
        network=network if network in NETWORKS else TIMM + network,
        path=path,
        sha256=digest_of(path),
        normalisation=Normalisation(mean=known.mean, std=known.std, source=f"weights {name}"),
        input_px=known.input_size[-1],
        licence=known.license or "",
        source=known.origin_url or "timm's hub",
        classes=known.num_classes,
        embedding_size=NETWORKS[network].embedding_size if network in NETWORKS else 0,
    )


def _download(repository: str, name: str, looked: str) -> Path:
    """Returns the file in the hub's cache, fetched if need be.

    Nobody knows all the errors of a connection; each means that the file is not here and how to get it.
    """
    import huggingface_hub as hub  # timm's own way to its weights; it honours HF_HUB_OFFLINE

    try:
        return Path(hub.hf_hub_download(repository, HUB_FILE, local_files_only=True))
    except hub.errors.LocalEntryNotFoundError:
        pass
    try:
        _knock()
        return Path(hub.hf_hub_download(repository, HUB_FILE, etag_timeout=ANSWER_TIMEOUT_S))
    except Exception as error:
        refused = refused_by_disk(error)
        if refused is not None:
            raise StorageFailed(
                "weights.not-kept",
                'The weights "{name}" could not be kept in {cache}: {reason}.',
                do="Free some space there or check the rights, or name another folder in HF_HOME; then run "
                "the same command again.",
                name=name,
                cache=hub.constants.HF_HUB_CACHE,
                reason=refused.strerror or refused,
            ) from error
        raise Unsupported(
            "weights.unreachable",
            'The weights "{name}" are not on this machine and could not be fetched: {reason}. {looked}',
            do="Without a network: put the folder {name} with model.safetensors and config.json into "
            "weights/, or name the folder that holds it in DARKROOM_WEIGHTS.",
            name=name,
            reason=_reason(error),
            looked=looked,
        ) from error


def _knock() -> None:
    """Fails at once where the hub cannot be reached; a download would try again for half a minute."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if not constants.HF_HUB_OFFLINE:
        get_session().head(constants.ENDPOINT, timeout=ANSWER_TIMEOUT_S)


def _reason(error: Exception) -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    first: BaseException = error
    while first.__cause__ is not None:  # what went wrong at first says more than what was made of it
        first = first.__cause__
    return (str(first).strip().splitlines() or [type(first).__name__])[0].rstrip(".")
