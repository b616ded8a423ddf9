"""The rules, one file per family. A module here is loaded because it is here."""
