"""Words that changed lines may not have, and what to write instead; and the length of subjects.

The reader is an engineer who knows Kafka and on-call, not us. Old lines are left alone until they
are touched.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

INSTEAD: Final = {
    r"whoever": "the person, process or client that is meant",
    r"anew": "again",
    r"(none )?of ours": "our, or: unknown",
    r"is no (section|setting|kind)": "unknown section",
    r"as long as all is well": "while it makes progress",
    r"so many": "the number, or: this many",
    r"bur(y|ies|ied)": "write a tombstone, or: send to dead-letters",
    r"gravest": "most severe",
    r"(stand|stood|stands|standing) still": "make no progress",
}
"""Private words as patterns, each with a plain one."""

MAX_SUBJECT: Final = 72
SUBJECTS_SINCE: Final = "1c542b1"
"""The commit after which subjects are at most `MAX_SUBJECT` characters long."""

_FILES: Final = ("*.py", "*.md")
_ITSELF: Final = ("tests/layers/words.py", "tests/layers/test_words.py")
_WORDS: Final = {
    re.compile(rf"\b{word}\b", re.IGNORECASE): plain for word, plain in INSTEAD.items()
}


def private_words(folder: Path) -> list[str]:
    """Private words in the lines of the repository that changed since the merge base with
    `origin/main`; in what was pushed, or where there is no such branch, since the commit before.

    Raises subprocess.CalledProcessError where git knows no such commit.
    """
    head = _git(folder, "rev-parse", "HEAD")
    try:
        base = _git(folder, "merge-base", "HEAD", "origin/main")
    except subprocess.CalledProcessError:
        base = head
    if base == head:
        base = _git(folder, "rev-parse", "HEAD~1")
    left_out = [f":!{path}" for path in _ITSELF]
    changed = _git(folder, "diff", "-U0", "-M", "--no-ext-diff", base, "--", *_FILES, *left_out)
    return list(_found(changed))


def long_subjects(folder: Path, since: str) -> list[str]:
    """Subjects of commits after `since` that are too long. Raises as `private_words`."""
    subjects = _git(folder, "log", "--no-merges", "--format=%s", f"{since}..HEAD").splitlines()
    return [subject for subject in subjects if len(subject) > MAX_SUBJECT]


def _found(diff: str) -> Iterator[str]:
    path = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        elif line.startswith("+"):
            for word, plain in _WORDS.items():
                if found := word.search(line):
                    yield f"{path}: {found[0]!r}; write: {plain}: {line[1:].strip()}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
