"""The version of a store's layout, and how an older store becomes a newer one: the same for every store.

A store names its migrations in order; the version is one more than there are. All that are missing run in one write
transaction, so a store is as it was or as it is to be. Before that a copy is made beside it, checked and synced.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from l1.ground.faults import LocalError
from l1.serving.whole import check_whole

__all__ = ["Migration", "bring_up_to_date", "check_version"]

Migration = Callable[[Any, Any], None]
"""Given the LMDB environment and its write transaction, it turns every row of its version into the next one's."""

_META, _KEY = "meta", b"schema"  # the database of facts about the store itself, and where its version stands
_BYTES = 2

log = structlog.get_logger()


def bring_up_to_date(
    environment: Any,
    path: Path,
    names: Sequence[str],
    migrations: Sequence[Migration],
    fresh: Mapping[bytes, bytes] = {},
) -> dict[str, Any]:
    """The store's databases by name, "meta" among them, in the newest layout.

    A new store gets them, and its `fresh` facts, in one transaction; in an older one they are migrated in one. A store
    that lacks one of them is damaged: LMDB's own error. Raises `LocalError` for a newer store, and where there is no
    room for the copy; nothing has changed then.
    """
    newest = 1 + len(migrations)
    if environment.stat()["entries"] == 0:
        with environment.begin(write=True) as writing:
            made = {name: environment.open_db(name.encode(), txn=writing) for name in names}
            for key, value in fresh.items():
                writing.put(key, value, db=made[_META])
            writing.put(_KEY, newest.to_bytes(_BYTES, "big"), db=made[_META])
        return made
    meta = environment.open_db(_META.encode(), create=False)
    with environment.begin(db=meta) as reading:
        found = int.from_bytes(reading.get(_KEY, b""), "big")
    check_version(path, found, newest)
    if found < newest:
        log.warning("store migrated", store=path.name, schema=newest, kept=str(_keep_copy(environment, path, found)))
        with environment.begin(write=True) as writing:
            for migration in migrations[found - 1 :]:
                migration(environment, writing)
            writing.put(_KEY, newest.to_bytes(_BYTES, "big"), db=meta)
    return {name: environment.open_db(name.encode(), create=False) for name in names}


def check_version(path: Path, found: int, newest: int) -> None:
    """Raises `LocalError` for a store that a newer program wrote, or that none can have written."""
    if found > newest:
        cause = f"{path} has schema {found}; this program knows {newest}"
        raise LocalError(cause, "Use the newer program that wrote it.")
    if found < 1:
        raise LocalError(f"{path} is damaged (its schema is not there)", "Restore it from a backup.")


def _keep_copy(environment: Any, path: Path, schema: int) -> Path:
    """The store as it was, beside it. An older copy of the same kind gives way."""
    kept, made = path.with_name(f"{path.name}.schema-{schema}"), path.with_name(f"{path.name}.schema-{schema}.part")
    wanted, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * wanted:  # the copy, and what the migration itself writes anew
        cause = f"{path} must be migrated to a newer layout, for which {2 * wanted:,} bytes must be free; {free:,} are"
        raise LocalError(cause, "Make room, then start again; nothing was changed.")
    try:
        made.unlink(missing_ok=True)
        environment.copy(str(made), compact=True)
        check_whole(made, "Look at the disk: a copy that was just written does not read well.")
        with made.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(made, kept)
    except OSError as error:
        cause = f"the copy before a migration could not be written ({error})"
        raise LocalError(cause, "Make room, then start again; nothing was changed.") from None
    return kept
