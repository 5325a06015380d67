"""One plain typed function, and every face derived from its signature."""

from darkroom.operation.fences import as_named, error_as_named, with_paths
from darkroom.operation.fingerprint import (
    differences,
    fingerprint,
    fingerprint_parts,
    library_versions,
)
from darkroom.operation.sweep import put, swept
from darkroom.operation.table import (
    NOUNS,
    Operation,
    Parameter,
    find_operation,
    operation,
    operations,
)
from darkroom.operation.vocabulary import (
    BundleRef,
    DatasetRef,
    FolderName,
    LocalPath,
    PictureName,
    Produced,
    Reference,
    RunRef,
    SourceRef,
    UserCode,
)

__all__ = [
    "NOUNS",
    "BundleRef",
    "DatasetRef",
    "FolderName",
    "LocalPath",
    "Operation",
    "Parameter",
    "PictureName",
    "Produced",
    "Reference",
    "RunRef",
    "SourceRef",
    "UserCode",
    "as_named",
    "differences",
    "error_as_named",
    "find_operation",
    "fingerprint",
    "fingerprint_parts",
    "library_versions",
    "operation",
    "operations",
    "put",
    "swept",
    "with_paths",
]
