"""The settings that people write in clusters/<env>: each file has one module here that knows it."""
