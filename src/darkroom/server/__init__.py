"""The HTTP face: every operation under /api, with its OpenAPI page, jobs and their events."""
