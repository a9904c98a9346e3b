"""Errors whose text is for the person at the keyboard."""


class UserError(Exception):
    """Something that the person at the keyboard can put right; the text is one plain line that says
    how.
    """
