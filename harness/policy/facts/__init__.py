"""What rules read out of environments and the checkout, so that each is worked out in one place."""
