"""The model archives in S3: put there once, never changed, removed when no release needs them."""
