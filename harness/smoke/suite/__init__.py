"""The checks. Each runs against one target, and says what it needs and what to type next."""
