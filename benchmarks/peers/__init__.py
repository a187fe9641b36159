"""The same Glow run in other ways: what a user could run in place of flowxfer."""
