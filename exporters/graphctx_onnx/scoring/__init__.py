"""Batch scoring: a program of a bundle over Parquet, NumPy and Zarr files, through Dask.

It imports NumPy, onnxruntime and Dask, and pyarrow or Zarr for their files; neither graphctx nor
onnx.
"""

from graphctx_onnx.scoring.errors import ClusterError, ScoringError
from graphctx_onnx.scoring.score import Scored, score

__all__ = ["ClusterError", "Scored", "ScoringError", "score"]
