"""Layers, with Keras's argument names, defaults and formulas.

Each family is a file, whose `__all__` names the layers in it.
"""

from __future__ import annotations

from graphctx.nn.activation import *
from graphctx.nn.attention import *
from graphctx.nn.batch_normalization import *
from graphctx.nn.conv import *
from graphctx.nn.dense import *
from graphctx.nn.embedding import *
from graphctx.nn.group_normalization import *
from graphctx.nn.layer_normalization import *
from graphctx.nn.merging import *
from graphctx.nn.plain_attention import *
from graphctx.nn.pooling import *
from graphctx.nn.preprocessing import *
from graphctx.nn.recurrent import *
from graphctx.nn.recurrent_cells import *
from graphctx.nn.recurrent_wrappers import *
from graphctx.nn.regularization import *
from graphctx.nn.reshaping import *
from graphctx.nn.resizing import *
from graphctx.nn.rotary_embedding import *
from graphctx.nn.sequential import *
from graphctx.nn.weight_normalization import *
from graphctx.nn.wrapping import *
