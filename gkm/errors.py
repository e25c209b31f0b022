"""The one exception for mistakes a user can mend: a sentence in, exit status 2 out."""


class InputError(ValueError):
    """A setting, file or data set that cannot be used.

    The message is one sentence that names the thing, the reason and the remedy. The pipelines print it
    without a traceback and leave with exit status 2.
    """
