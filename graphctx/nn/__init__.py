"""Layers, with Keras's argument names, defaults and formulas.

Each family is a file, whose `__all__` names the layers in it.
"""

from __future__ import annotations

from graphctx.nn.activation import *
from graphctx.nn.conv import *
from graphctx.nn.dense import *
from graphctx.nn.embedding import *
from graphctx.nn.normalization import *
from graphctx.nn.pooling import *
from graphctx.nn.regularization import *
from graphctx.nn.reshaping import *
from graphctx.nn.sequential import *
from graphctx.nn.wrapping import *
