"""Operations on what people write about runs: a note, and tags."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Sequence

from darkroom import atomic
from darkroom.errors import Conflict, InvalidConfig, NotFound, nearest
from darkroom.operation import RunRef, operation
from darkroom.records import Result, Run, RunNote, Table, now
from darkroom.workspace import Workspace

__all__ = ["NOTES_FILE", "note", "notes_of", "tag", "tags_of"]

NOTES_FILE = "notes.json"
"""Copy of what was written about a run, in its folder: it is there when the catalogue is lost."""

LONGEST_TAG = 60


class NoteReport(Result):
    """What is now written about a run."""

    run: RunRef
    note: str
    tags: tuple[str, ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the note and the tags."""
        yield f"{self.run}: {self.note or 'no note'}"
        yield f"Tags: {', '.join(self.tags) or 'none'}"


@operation("model.note", stage=6, positional=("run", "text"))
def note(workspace: Workspace, *, run: RunRef, text: str = "", by: str = "") -> NoteReport:
    """Write a note about a run; the newest one is shown, and the ones before stay in the log.

    Args:
        run: the run.
        text: the note; left out, the note is taken back.
        by: who writes it; the user of this machine when nobody is named.
    """
    found = workspace.catalogue.runs.get(run)
    return _written(workspace, found, [("note", text.strip())], by)


@operation("model.tag", stage=6, positional=("run", "tags"))
def tag(
    workspace: Workspace, *, run: RunRef, tags: tuple[str, ...], remove: bool = False, by: str = ""
) -> NoteReport:
    """Give a run tags, by which the run table finds it; or take them back.

    Args:
        run: the run.
        tags: the tags, for example best.
        remove: take them back.
        by: who says it; the user of this machine when nobody is named.
    """
    found = workspace.catalogue.runs.get(run)
    for one in tags:
        _check_tag(one)
    if not tags:
        raise InvalidConfig(
            "tag.none", "There is no tag to give.", do="Name one: darkroom model tag {run} best", run=run
        )
    have = tags_of(workspace, found)
    if remove:
        _refuse_absent(found, tags, have)
    say = [one for one in dict.fromkeys(tags) if (one in have) == remove]
    return _written(workspace, found, [("untag" if remove else "tag", one) for one in say], by)


def tags_of(workspace: Workspace, run: Run) -> tuple[str, ...]:
    """Returns the tags of a run: those that Darkroom gave, then those that people gave."""
    return tuple(dict.fromkeys((*run.tags, *workspace.catalogue.run_notes.tags().get(run.id, ()))))


def notes_of(workspace: Workspace) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Returns the note and the tags that people gave, by run."""
    log = workspace.catalogue.run_notes
    return dict(log.notes()), dict(log.tags())


def _written(workspace: Workspace, run: Run, said: Sequence[tuple[str, str]], by: str) -> NoteReport:
    """Writes to the catalogue's log, and a copy of the run's log into its folder."""
    author, log = by or _user(), workspace.catalogue.run_notes
    words = [
        RunNote.model_validate({"run": run.id, "kind": kind, "text": text, "author": author, "at": now()})
        for kind, text in said
    ]
    log.add(words)
    folder = workspace.runs_folder / run.id
    if folder.is_dir():
        copy = {"schema_version": 1, "log": [one.model_dump(mode="json") for one in log.log(run.id)]}
        atomic.write_text(folder / NOTES_FILE, json.dumps(copy, indent=1, ensure_ascii=False) + "\n")
    return NoteReport(
        run=run.id, note=log.notes().get(run.id, "") or run.note, tags=tags_of(workspace, run)
    )


def _check_tag(text: str) -> None:
    if not text or text != text.strip() or len(text) > LONGEST_TAG or set(text) & set(",=<>\n\t"):
        raise InvalidConfig(
            "tag.form",
            "A tag cannot be {text!r}: expected at most {most} characters, none of them , = < >.",
            do="For example: darkroom model tag r-1 best",
            text=text[:80],
            most=LONGEST_TAG,
        )


def _refuse_absent(run: Run, tags: Sequence[str], have: Sequence[str]) -> None:
    for one in tags:
        if one in run.tags:
            raise Conflict(
                "tag.of-darkroom",
                'Darkroom itself gave {run} the tag "{tag}"; it says what the run belongs to, and stays.',
                do="Give it tags of your own beside it: darkroom model tag {run} best",
                run=run.id,
                tag=one,
            )
        if one not in have:
            raise NotFound(
                "tag.absent",
                '{run} has no tag "{tag}".{meant}',
                do="See: darkroom model runs",
                run=run.id,
                tag=one,
                meant=nearest(one, have),
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
