"""From one environment to the next: a pointer moves to a commit that was proven, with its evidence.

Nothing in here builds, copies into Git or restarts anything: a promotion is a commit that sets
``ref.commit`` of ``clusters/<env>/release.yaml`` and adds one file that says why it might.
"""
