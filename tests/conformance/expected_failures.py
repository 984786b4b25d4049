"""The cases of ONNX's backend tests that graphctx does not pass, and why.

A case that starts to pass has to leave this list: its test fails until it does.
"""

EXPECTED_FAILURES: dict[str, str] = {}
