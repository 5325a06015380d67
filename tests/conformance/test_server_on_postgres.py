"""A server whose catalogue is a PostgreSQL: labels are saved, a job runs, and it stops in order."""

from __future__ import annotations

from pathlib import Path

import httpx

from darkroom.catalogue import Catalogue
from darkroom.workspace import Workspace
from tests.conformance.postgres import PostgresServer
from tests.datasets.projects import classes
from tests.server.apps import project, served, shell


def test_a_server_on_postgres_saves_labels_runs_a_job_and_stops(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    root, url = project(tmp_path / "p"), postgres.new_database()
    classes(root / "pictures", {"cat": 2, "dog": 2})
    setting = {"DARKROOM_DATABASE_URL": url}
    with served(root, **setting) as server:
        headers = {"Authorization": f"Bearer {server.facts.token}"}
        with httpx.Client(base_url=server.facts.url, headers=headers, trust_env=False) as ask:
            job = ask.post("/api/source/add", json={"folder": "pictures"})
            assert job.status_code == 202, job.text
            with ask.stream("GET", f"{job.headers['location']}/events") as events:
                assert any("finished" in line for line in events.iter_lines())
            found = ask.get(job.headers["location"]).json()
            assert (found["state"], found["result"]["new"]) == ("finished", 4)
            image = ask.post("/api/image/list", json={}).json()["images"][0]["id"]
            saved = ask.post("/api/label/add", json={"image": image, "label": "dog", "by": "Ann"})
            assert saved.status_code == 200, saved.text
        # The shell goes through the server, and needs no setting for that.
        assert "finished" in shell("job", "list", folder=root).stdout
        code, out, err = server.stop()
        assert (code, "has stopped" in out) == (0, True), err
    assert not (Workspace(root).hidden / "catalogue.db").exists()
    with Catalogue.open(url) as catalogue:
        assert catalogue.images.count() == 4
        assert catalogue.jobs.get("j-1").state == "finished"
        assert [one.author.name for one in catalogue.annotations.since(0)][-1] == "Ann"
    postgres.drop_database(url)
