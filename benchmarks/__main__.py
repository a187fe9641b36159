"""``python -m benchmarks`` is ``flowxfer bench``."""

import sys

from flowxfer.cli import app

app(["bench", *sys.argv[1:]], prog_name="python -m benchmarks")
