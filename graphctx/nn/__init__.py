"""Layers."""

from __future__ import annotations

from graphctx.nn.sequential import Sequential

__all__ = ["Sequential"]
