"""Rights: of pods, of people, of what builds this repository."""
