"""The fused step on a GPU: Triton kernels, their block sizes, and how they are launched."""
