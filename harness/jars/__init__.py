"""The Java libraries that run in place of the older ones in TorchServe's own JAR, pinned by a lock.

Standard library, relative imports and jgo only: the image's build stage runs this folder alone.
"""


class JarsError(Exception):
    """The lock or a file that it names is bad; the text is for a person."""

    exit_code = 1


class Unreachable(JarsError):  # noqa: N818 - it is one, and says what cannot be reached
    """A library could not be fetched: another try, or a mirror, may succeed."""

    exit_code = 3
