"""The rules, one package per subject. A module in one is loaded because it is there."""
