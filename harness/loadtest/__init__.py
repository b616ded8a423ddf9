"""Open-loop load on a live endpoint, every answer checked, and a verdict on both.

profile        what is sent, how fast, and what must hold
arrivals       when each request is due: pure
plan           all that a generator needs, and the requests as bytes
generator/     what runs inside locust's processes: the only gevent there is
swarm          starts those processes and reads what they measured
recording      what was measured, in HDR histograms
scrape         the server's own figures on the same time axis
target gateway where the load goes: a URL, or a Gateway found through KUBECONFIG
slo validity   the server judged, and before it the run itself
report html    what is written; compare says whether a second report is worse
"""

from harness.loadtest.profile import Profile, load_profile
from harness.loadtest.report import Report
from harness.loadtest.run import run
from harness.loadtest.target import Target

__all__ = ["Profile", "Report", "Target", "load_profile", "run"]
