"""What runs inside locust's processes, and nowhere else: the only gevent and locust there is.

locustfile   one dispatching user a process; the master hands the plan out, windows come back
dispatcher   sends each request when it is due and notes how late, how long and how right
checker      is the answer right? failures grouped, each group with an example
rest, rpc    the two clients
"""
