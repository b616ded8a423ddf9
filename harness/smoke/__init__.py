"""Whether an installation does what it is there for: live checks with pytest and testinfra.

suite       the checks themselves: pytest files that ship with the package
check       what each of them needs, and the command to type when it fails
target      what they are run against, and what that lacks
expected    what Git says should run there
torchserve  one server: what lies in it, and what it answers
neighbour   a short-lived pod that tries what no other pod may
way_in      the gateway, asked by its name
run         pytest around the suite
report      report.json, report.junit.xml and the one screen

A check that does not apply to a kind of target is named with the reason, and never as passed.
"""
