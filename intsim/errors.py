"""What can go wrong, as one family: every message is one line that names the thing and the way out."""


class IntsimError(ValueError):
    """Unusable input: the command line prints the message and leaves with exit code 2."""


class GraphError(IntsimError):
    """A graph that is not well formed; the message starts with the node's name."""


class BoundError(GraphError):
    """A graph some input could drive past an integer format; the message names the node and the bound found."""


class FileError(IntsimError):
    """A file that is missing, foreign, damaged or unsafe; the message starts with its path."""
