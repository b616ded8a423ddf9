"""The model archives: uploaded to S3 once, never changed, synced to the store, then collected."""
