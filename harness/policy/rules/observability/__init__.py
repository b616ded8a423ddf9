"""What is measured, alerted on and traced."""
