"""Every layer against Keras's, on fixtures that real Keras recorded.

`cases_<family>.py` lists what is compared; `make keras-fixtures` records what Keras computes into
`fixtures/`; `test_parity.py` compares with them, and `tests/nn/test_keras_parity.py` compares them
with the Keras that is installed, if one is.
"""
