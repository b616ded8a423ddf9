"""Fills the model store from S3; runs in the serving image, before any pod rolls.

    python -m model_sync --source s3://BUCKET --files FILE --config FILE --store FOLDER

Only the standard library and boto3: the image has nothing of the harness. Under a final name lies
a whole file with the right SHA-256, or none. No decision depends on a clock, and nothing is
deleted but what a killed run left half done.
"""


class SyncError(Exception):
    """The store could not be filled; what was there before is there still."""
