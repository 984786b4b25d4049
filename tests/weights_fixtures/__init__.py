"""Small files of weights that Keras and PyTorch wrote, and what their models compute.

`python -m tests.weights_fixtures.record` writes them anew; `cases.py` has our side of each.
"""
