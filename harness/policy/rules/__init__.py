"""The rules, one family a file. A module here is loaded because it is here."""
