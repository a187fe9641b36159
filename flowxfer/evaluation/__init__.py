"""How good is a transfer? Likeness, action units, and the true picture where there is one.

- ``likeness``: is it still the target? Distances of face embeddings.
- ``action_units``: is it the expression? Intensities of facial action units; ``openface`` measures them.
- ``fidelity``: how far is it from the true picture, which synthetic people have?
- ``paper``: the protocol of the paper, from folders of pictures to its tables; ``tables`` are its file formats.
- ``report``: a run of it as one HTML page.
"""
