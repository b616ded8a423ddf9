"""Live checks of an installation, with pytest and testinfra.

suite       the checks themselves: pytest files that ship with the package
check       what each of them needs, and the command to type when it fails
target      what they are run against, and what that lacks
expected    what should run there, according to Git
torchserve  one server: its files, and its responses
probe_pod   a short-lived pod that tries the ports that no other pod may reach
gateway     requests to the gateway by its name
run         pytest around the suite
report      report.json, report.junit.xml and the summary

A check that does not apply to a kind of target is reported with the reason, and never as passed.
"""
