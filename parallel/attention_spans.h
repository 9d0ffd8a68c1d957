// What the rows of a stream see of each other, for the kernels: one span for each sequence with query rows
// here.
#pragma once

#include "parallel/attention.h"
#include "parallel/batch_shape.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

// `queries` are the rows of the q given to the kernels and `keys` those of k and v; every key that a query
// sees is among them, and each sequence with a query here has the keys up to the last that is needed.
std::vector<ops::AttentionSpan> attention_spans(const AttentionShape&, const AttentionStream&,
                                                RowRange queries, RowRange keys);

// The keys that the queries see: those of their sequences, as far as a causal mask, a window and prefixes let
// them see. One range.
RowRange needed_keys(const AttentionShape&, const AttentionStream&, RowRange queries);

}  // namespace longsight::parallel
