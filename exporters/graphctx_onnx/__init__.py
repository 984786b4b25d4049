"""The ONNX exporter of graphctx: export, import, verify, bundle, runtime, server."""
