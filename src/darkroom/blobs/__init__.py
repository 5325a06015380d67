"""Bytes by their hash, on any file system."""

from darkroom.blobs.store import BlobStore

__all__ = ["BlobStore"]
