"""Load scripts that people have, read as what a profile says. None of them is ever executed.

    shell      the commands of a script or a page, for the next three
    curl       commands, one or many, as typed or as a browser copies them
    bench      lines of ab, hey, oha, bombardier and wrk
    vegeta     its lines and targets
    har        what a browser recorded
    postman    collections
    jmeter     test plans
    k6         scripts in JavaScript, and javascript for their expressions
    locust     locustfiles and scripts of requests, and python_calls for their requests

``read(path, text)`` chooses by the content.
"""

from harness.loadtest.scripts.read import read
from harness.loadtest.scripts.script import Script

__all__ = ["Script", "read"]
