"""What SQLite's faults mean: which pass by themselves, and what a person is to do about the
others.
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from schemas.documents import StoreRefused, StoreUnavailable, TooSlow

_TEMPORARY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Primary result codes of faults that time or an operator heals while we wait."""
_NOT_OPENED: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)
"""Of a file, a folder or a file system: the operating system says which."""
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH}
)
_DAMAGED_WORDS: Final = ("malformed", "could not decode", "no such table", "no such column")
"""In the texts of faults that have no code of their own."""
_PASSING_ERRNOS: Final = frozenset(
    {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}
)


class Damaged(Exception):
    """A row is not as it was written."""


def meaning(path: str, fault: Exception) -> Exception:
    """What to raise for a fault of SQLite's: StoreUnavailable, StoreRefused, or the fault itself
    when it is a bug of ours.
    """
    code = getattr(fault, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in _TEMPORARY:
        return StoreUnavailable(f"the store {path} does not take anything now: {fault}")
    if primary == sqlite3.SQLITE_INTERRUPT:
        return TooSlow(f"the store {path} did not answer within store.timeout_s")
    if primary in _NOT_OPENED:
        return _not_opened(path, fault)
    if primary == sqlite3.SQLITE_NOTADB:
        return StoreRefused(
            f"the store {path} is no SQLite database, or its first page is damaged; check"
            " store.path"
        )
    words = str(fault).lower()
    # Names in the file's own schema stand in SQLite's texts.
    if (
        isinstance(fault, Damaged | UnicodeDecodeError)
        or primary in _DAMAGED
        or any(each in words for each in _DAMAGED_WORDS)
    ):
        return damaged(path, fault)
    return fault


def damaged(path: str, fault: Exception) -> StoreRefused:
    """The file is not as SQLite wrote it."""
    return StoreRefused(
        f"the store {path} is damaged ({fault}). Stop the sink and the API, then put a backup in"
        " its place, or save what can be read with "
        f'sqlite3 {path} ".recover" | sqlite3 NEW, or move it away together with its -wal and -shm'
        " to begin an empty one"
    )


def _not_opened(path: str, fault: Exception) -> Exception:
    why = _refusal(Path(path))
    if why is None and getattr(fault, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
        return StoreUnavailable(f"the store {path} does not take anything now: {fault}")
    if why is None:
        return StoreRefused(f"the store {path} cannot be used: {fault}; check store.path")
    if why.errno in _PASSING_ERRNOS:
        return StoreUnavailable(f"the store {path} does not take anything now: {why.strerror}")
    return StoreRefused(
        f"the store {path} cannot be used: {why.filename}: {why.strerror}; check store.path"
    )


def _refusal(path: Path) -> OSError | None:
    """Why the operating system does not let us write the file and the two beside it, or make them;
    None when it does.

    Nothing is opened: closing a file would let go the locks that SQLite holds on it for this
    process.
    """
    try:
        if path.is_dir():
            return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not path.parent.is_dir():
            return FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
        for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), path.parent):
            if each.exists() and not os.access(each, os.W_OK, effective_ids=True):
                number = errno.EROFS if os.statvfs(each).f_flag & os.ST_RDONLY else errno.EACCES
                return OSError(number, os.strerror(number), str(each))
    except OSError as fault:
        return fault
    return None
