"""Bundles: a folder with every distinct program of a model, and every weight once.

`graphctx_onnx.runtime` reads what this package writes.
"""
