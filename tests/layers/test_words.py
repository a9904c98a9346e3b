"""Changed lines are in plain words, and commits have short subjects."""

import subprocess
from pathlib import Path

import pytest

from tests.layers.words import MAX_SUBJECT, SUBJECTS_SINCE, long_subjects, private_words

ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> None:
    """A command of git, as somebody."""
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository without a remote, with a commit and a page that has an old private word."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "page.md").write_text("Whoever wrote this wrote it long ago.\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Go on")
    return tmp_path


def test_changed_lines_have_no_private_words() -> None:
    """Of this repository, where git knows what changed: not in an archive, nor in a clone of one
    commit.
    """
    try:
        assert private_words(ROOT) == []
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("git does not know the commit before")


def test_commits_have_short_subjects() -> None:
    """A list of commits shows them whole."""
    try:
        assert long_subjects(ROOT, SUBJECTS_SINCE) == []
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("git does not know the commit that the rule began with")


def test_a_private_word_is_found_in_a_changed_line_and_not_in_an_old_one(repository: Path) -> None:
    """Committed or not; in the last commit where there is no `origin/main`."""
    assert private_words(repository) == []
    (repository / "module.py").write_text('"""Starts ANEW."""\n')
    git(repository, "add", ".")
    expected = ['module.py: \'ANEW\'; write: again: """Starts ANEW."""']
    assert private_words(repository) == expected
    git(repository, "commit", "-q", "-m", "Change a module")
    assert private_words(repository) == expected


def test_what_was_pushed_is_old_for_what_comes_after_it(repository: Path) -> None:
    """The lines that are not on `origin/main` yet are looked at, of however many commits."""
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    (repository / "page.md").write_text("Buried.\n")
    git(repository, "commit", "-qa", "-m", "One")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Two")
    assert [line.split(";")[0] for line in private_words(repository)] == ["page.md: 'Buried'"]


def test_a_long_subject_is_found(repository: Path) -> None:
    """One character too long."""
    subject = "a" * (MAX_SUBJECT + 1)
    git(repository, "commit", "-q", "--allow-empty", "-m", subject)
    assert long_subjects(repository, "HEAD~1") == [subject]
