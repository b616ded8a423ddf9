"""What runs inside locust's processes, and nowhere else: the only gevent and locust there is.

locustfile   one dispatching user per process; the master hands the plan out, windows come back
dispatcher   sends each request when it is due and records how late, how long and how correct
checker      is the response correct? failures grouped, each group with an example
rest, rpc    the two clients
"""
