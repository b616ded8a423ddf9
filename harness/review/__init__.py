"""What people read before and after a change: a pull request's comment, a release's notes.

Nothing in here judges. What it quotes was written by whoever opened the pull request, so all of it
goes through ``markdown``.
"""
