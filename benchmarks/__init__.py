"""How fast flowxfer is, beside its peers and the machine's limit: ``flowxfer bench``, ``python -m benchmarks``.

``models`` makes what is run, ``cases`` says what is timed, ``contestants`` who takes part, ``worker`` runs one of them
in a process of its own, ``timing`` calls the workers in turns, ``startup`` starts fresh processes, ``suite`` puts it
together and ``report`` writes it down. ``flops`` counts what the times are held against.
``patterns`` measures the ways to write one coupling net in ONNX, so that the choice of operators can be redone.
"""
