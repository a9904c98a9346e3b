"""Files that only their owner may read: they hold what tenants' applications did."""

import contextlib
import os
import stat
import uuid
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o600
_OTHERS: Final = 0o077
_BESIDE: Final = ("", "-wal", "-shm", "-journal")


def make_private(path: str) -> None:
    """Makes the file, empty, for its owner only; one that is there is left as it is. A file that
    cannot be made is left to whoever opens it.

    It gets its name when it is closed: closing a file lets go every lock that this process has on
    it, also those of another connection.
    """
    if os.path.lexists(path):
        return
    new = f"{path}.{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))
        try:
            os.link(new, path)
        finally:
            Path(new).unlink()


def tighten(path: str) -> None:
    """Takes from others what they may do with a database and the files beside it, and says so; of
    somebody else's file it only says it.
    """
    for each in (Path(f"{path}{end}") for end in _BESIDE):
        try:
            found = each.stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        if not mode & _OTHERS:
            continue
        ours = os.geteuid() in (0, found.st_uid)
        if ours:
            each.chmod(mode & ~_OTHERS)
        # Not before it is needed: it takes half a second to import.
        import structlog

        structlog.get_logger("sentinel.store").warning(
            "store.file_was_open_to_others", path=str(each), mode=f"{mode:04o}", tightened=ours
        )
