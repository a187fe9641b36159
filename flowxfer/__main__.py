"""``python -m flowxfer`` is ``flowxfer``."""

from flowxfer.cli import main

main()
