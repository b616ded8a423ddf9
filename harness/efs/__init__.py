"""The file system behind the model store, as AWS should have it.

    settings → state (what AWS has) → plan (what differs, as calls) → provision (makes them)

Nothing is remembered between runs: each reads AWS again, so a run that was killed is finished by
the next one. ``settings``, ``policy`` and ``plan`` are pure; only ``state`` and ``provision``
talk to AWS, by way of ``harness.aws``.
"""
