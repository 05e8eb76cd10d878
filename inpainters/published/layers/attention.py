"""Multi-head self-attention over token sequences, shared by DSTT and FuseFormer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers.heads import Active, merge, project


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V per head, d = dim / heads, then W_O (Vaswani et al., 2017, Sec. 3.2).

    The checkpoints call W_Q, W_K, W_V, W_O ``query_embedding``, ``key_embedding``, ``value_embedding`` and
    ``output_linear``. The head gate ``active`` (see ``layers.heads``) leaves heads out of the sum and out of the work.

    Args:
        dim: width of a token.
        num_heads: how many heads share it.
    """

    def __init__(self, dim: int = 512, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.active: Active = None
        self.query_embedding = nn.Linear(dim, dim)
        self.value_embedding = nn.Linear(dim, dim)
        self.key_embedding = nn.Linear(dim, dim)
        self.output_linear = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences ``(G, N, dim)``, same shape back; tokens attend within their own sequence."""
        query, key, value = (
            project(x, layer, self.active, self.head_dim).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for layer in (self.query_embedding, self.key_embedding, self.value_embedding)
        )
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return merge(attended, self.output_linear, self.active, self.head_dim)
