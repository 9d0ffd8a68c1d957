"""Causal attention alone in PyTorch (scaled_dot_product_attention), forward and backward, f32, one sequence.

Prints one JSON line: `seconds` is the median of forward + backward. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import json
import statistics
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, a.heads, a.tokens, a.width, requires_grad=True) for _ in range(3))
    upstream = torch.randn(1, a.heads, a.tokens, a.width)
    seconds = []
    for _ in range(a.steps + 1):
        start = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).backward(upstream)
        seconds.append(time.perf_counter() - start)
        q.grad = k.grad = v.grad = None
    median = statistics.median(seconds[1:])
    # Two products of the causal half forward, four backward.
    flops = 3 * 2 * a.tokens ** 2 * a.heads * a.width
    print(json.dumps(dict(seconds=median, gflops=flops / median / 1e9)))


if __name__ == "__main__":
    main()
