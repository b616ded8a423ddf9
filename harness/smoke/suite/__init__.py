"""The checks. Each runs against one target, and declares what it needs and what to type next."""
