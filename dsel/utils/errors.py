"""The one exception that means: the input is wrong, and here is what to do about it."""


class BadInput(ValueError):
    """Input that dsel cannot use. The message is one line that names the file and the remedy.

    The command line prints it and exits with status 2. In a notebook it is an ordinary exception.
    """
