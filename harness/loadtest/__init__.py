"""Open-loop load on a live endpoint, every response checked, and a verdict on both.

What happens to a profile, in this order:

    profile        what is sent, how fast, and what must hold
    plan           the same as requests, ready to be sent
    swarm          starts the generators, in processes of their own
    generator/     what runs there: the only locust and gevent there is
    arrivals       when each request is due: pure
    window         what a generator recorded, as it travels
    recording      all of it, in HDR histograms (histogram)
    scrape         the server's own figures on the same time axis
    validity       the run evaluated (confidence), then
    slo            the server, both as an outcome
    summary        what was measured; all together is the
    report         which html (charts, plot) shows to people, and terminal prints (advice)

A target is a URL or a gateway; compare says whether a second report is worse than a first.
"""

from harness.loadtest.profile import Profile, load_profile
from harness.loadtest.report import Report
from harness.loadtest.run import run
from harness.loadtest.target import Release, ServingGroup, Target

__all__ = ["Profile", "Release", "Report", "ServingGroup", "Target", "load_profile", "run"]
