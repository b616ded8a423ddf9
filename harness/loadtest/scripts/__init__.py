"""Load scripts that people have, read as what a profile says. None of them is ever executed.

    curl       commands, one or many, as typed or as a browser copies them
    bench      lines of ab, hey and wrk
    har        what a browser recorded
    locust     a plain locustfile, by its syntax tree

``read(path, text)`` chooses by the content.
"""

from harness.loadtest.scripts.read import read
from harness.loadtest.scripts.script import Script

__all__ = ["Script", "read"]
